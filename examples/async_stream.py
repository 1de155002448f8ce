"""Three conversations at once on one event loop, each printed as its answer is streamed. Needs GROQ_API_KEY.

    python examples/async_stream.py

State is kept in memory: it is gone when the program ends.
"""

import asyncio

from groq import AsyncGroq
from openai import AsyncOpenAI

from supercompat import GroqClientAdapter, async_supercompat

CITIES = ("Lisbon", "Oslo", "Kyoto")


async def main() -> None:
    async with AsyncGroq() as groq, async_supercompat(client=GroqClientAdapter(groq)) as client:
        guide = await client.beta.assistants.create(
            model="llama-3.3-70b-versatile",
            instructions="You are a travel guide. Name one thing to see, in a few words.",
        )
        answers = await asyncio.gather(*(visit(client, guide.id, city) for city in CITIES))
    for city, answer in zip(CITIES, answers, strict=True):
        print(f"{city}: {answer}")


async def visit(client: AsyncOpenAI, assistant_id: str, city: str) -> str:
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": f"I am in {city}."}])
    pieces: list[str] = []
    async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant_id) as stream:
        async for piece in stream.text_deltas:
            print(f"({city}) {piece}")
            pieces.append(piece)
    return "".join(pieces)


if __name__ == "__main__":
    asyncio.run(main())
