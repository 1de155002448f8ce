"""The API inside your own web application, next to its pages and behind its login. Needs a Groq key.

GROQ_API_KEY=… uvicorn --app-dir examples mounted:app

Any OpenAI SDK finds it at http://127.0.0.1:8000/ai/v1.
"""

from groq import AsyncGroq
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from supercompat import GroqClientAdapter, SQLAlchemyStorageAdapter, asgi_app


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("My own page.\n")


assistants = asgi_app(
    client=GroqClientAdapter(AsyncGroq()),
    storage=SQLAlchemyStorageAdapter("sqlite:///assistants.db"),
)

# In FastAPI: app.mount("/ai", assistants)
app = Starlette(routes=[Route("/", home), Mount("/ai", assistants)])
