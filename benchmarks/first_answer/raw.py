"""The openai SDK alone, on a transport that answers a constant.

With the argument `provider` it also makes a client on a real transport, as an application has it before
supercompat comes.
"""

import sys
import time

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


if "provider" in sys.argv:
    provider = openai.OpenAI(api_key="bench", base_url="http://provider.invalid/v1")
client = openai.OpenAI(
    api_key="bench", base_url="http://constant.invalid/v1", http_client=httpx2.Client(transport=_Constant())
)
client.beta.assistants.create(model="gpt-4o-mini")
print(time.process_time(), flush=True)
