// A provider for Sluice in Go: a parrot that answers chat completions, whole and as a stream.
//
//	go mod init parrot
//	go install google.golang.org/protobuf/cmd/protoc-gen-go@latest google.golang.org/grpc/cmd/protoc-gen-go-grpc@latest
//	buf generate ../../../proto --path ../../../proto/sluice/inference
//	go mod tidy && go run . 127.0.0.1:50051
package main

import (
	"encoding/json"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "parrot/gen/sluice/inference/v1"
)

type object = map[string]any

type parrot struct {
	pb.UnimplementedInferenceServiceServer
}

func (parrot) Infer(request *pb.InferRequest, out grpc.ServerStreamingServer[pb.InferResponse]) error {
	var chat struct{ Messages []struct{ Content string } }
	err := json.Unmarshal(request.Body, &chat) // the client's own bytes, in OpenAI's words
	if request.Operation != pb.Operation_OPERATION_CHAT_COMPLETIONS || err != nil || len(chat.Messages) == 0 {
		return status.Error(codes.InvalidArgument, "this parrot repeats the text of a chat, and nothing else")
	}
	said := chat.Messages[len(chat.Messages)-1].Content
	words := strings.Fields(said)
	answer := func(kind string, choice object) string {
		whole := object{"id": "chatcmpl-" + request.CallId, "object": kind, "created": 0, "choices": []object{choice}}
		whole["model"] = request.Target.Model
		text, _ := json.Marshal(whole)
		return string(text)
	}
	event := func(delta object, finish any) string {
		choice := object{"index": 0, "delta": delta, "finish_reason": finish}
		return "data: " + answer("chat.completion.chunk", choice) + "\n\n"
	}
	// What is sent to somebody who has left fails; the last one tells.
	if request.Stream {
		_ = out.Send(started("text/event-stream"))
		for _, word := range words {
			_ = out.Send(chunk(event(object{"content": word + " "}, nil), false))
		}
		_ = out.Send(chunk(event(object{}, "stop"), false))
		_ = out.Send(chunk("data: [DONE]\n\n", true))
	} else {
		message := object{"role": "assistant", "content": said}
		_ = out.Send(started("application/json"))
		_ = out.Send(chunk(answer("chat.completion", object{"index": 0, "message": message, "finish_reason": "stop"}), true))
	}
	usage := &pb.Usage{InputTokens: uint64(len(request.Body) / 4), OutputTokens: uint64(len(words))}
	finished := &pb.Finished{Usage: usage, FinishReason: "stop"}
	return out.Send(&pb.InferResponse{Event: &pb.InferResponse_Finished{Finished: finished}})
}

func started(kind string) *pb.InferResponse {
	return &pb.InferResponse{Event: &pb.InferResponse_Started{Started: &pb.Started{Status: 200, ContentType: kind}}}
}

func chunk(payload string, last bool) *pb.InferResponse {
	value := &pb.Chunk{Payloads: [][]byte{[]byte(payload)}, Last: last}
	return &pb.InferResponse{Event: &pb.InferResponse_Chunk{Chunk: value}}
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterInferenceServiceServer(server, parrot{})
	log.Fatal(server.Serve(listener))
}
