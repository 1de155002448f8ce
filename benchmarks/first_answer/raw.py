"""The openai SDK alone, on a transport that answers a constant."""

import httpx2
import openai

_ASSISTANT = (
    b'{"id":"asst_constant","object":"assistant","created_at":1730000000,"name":null,"description":null,'
    b'"model":"gpt-4o-mini","instructions":null,"tools":[],"metadata":{},"temperature":1.0,"top_p":1.0}'
)
_HEADERS = {"content-type": "application/json"}


class _Constant(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=_ASSISTANT, headers=_HEADERS)


client = openai.OpenAI(
    api_key="bench", base_url="http://constant.invalid/v1", http_client=httpx2.Client(transport=_Constant())
)
assistant = client.beta.assistants.create(model="gpt-4o-mini")
print(assistant.id, flush=True)
