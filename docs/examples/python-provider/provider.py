"""A provider for Sluice in Python: a parrot that answers chat completions, whole and as a stream.

    pip install grpcio grpcio-tools
    python -m grpc_tools.protoc -I ../../../proto --python_out=. --grpc_python_out=. \
        $(cd ../../../proto && find sluice/inference -name '*.proto')
    python provider.py 50051
"""

import json
import sys
import time
from concurrent import futures

import grpc
from sluice.inference.v1 import inference_pb2 as inference
from sluice.inference.v1 import inference_service_pb2 as service
from sluice.inference.v1 import inference_service_pb2_grpc as service_grpc
from sluice.inference.v1 import usage_pb2 as usage


def chunk(*payloads, last=False):
    return service.InferResponse(chunk=inference.Chunk(payloads=[p.encode() for p in payloads], last=last))


class Parrot(service_grpc.InferenceServiceServicer):
    def Infer(self, request, context):
        if request.operation != inference.OPERATION_CHAT_COMPLETIONS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this parrot chats, and nothing else")
        body = json.loads(request.body)  # the client's own bytes, in OpenAI's words
        said = str(body["messages"][-1]["content"])
        answer = {"id": f"chatcmpl-{request.call_id}", "created": int(time.time()), "model": request.target.model}
        read, written = len(request.body) // 4, len(said.split())
        kind = "text/event-stream" if request.stream else "application/json"
        yield service.InferResponse(started=inference.Started(status=200, content_type=kind))
        if request.stream:
            for word in said.split():
                delta = {"index": 0, "delta": {"role": "assistant", "content": word + " "}, "finish_reason": None}
                yield chunk(event(answer, delta))
            yield chunk(event(answer, {"index": 0, "delta": {}, "finish_reason": "stop"}))
            yield chunk("data: [DONE]\n\n", last=True)
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            counts = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
            whole = {**answer, "object": "chat.completion", "choices": [choice], "usage": counts}
            yield chunk(json.dumps(whole), last=True)
        spent = usage.Usage(input_tokens=read, output_tokens=written)
        yield service.InferResponse(finished=inference.Finished(usage=spent, finish_reason="stop"))


def event(answer, choice):
    return "data: " + json.dumps({**answer, "object": "chat.completion.chunk", "choices": [choice]}) + "\n\n"


server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
service_grpc.add_InferenceServiceServicer_to_server(Parrot(), server)
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
