using System.Text.Json.Nodes;
using Microsoft.OpenApi;

namespace Chatterbox.Service.Hosting;

/// <summary>Names of the routes' operations for generated clients, and examples of what they take.</summary>
internal static class ApiOperations
{
    private const string Text = "Hello there!";
    private const string OpenAiSpeech = """{"model":"tts-1","input":"Hello there!","voice":"alloy","response_format":"wav"}""";
    private const string ElevenSpeech =
        """{"text":"Hello there!","model_id":"eleven_flash_v2_5","voice_settings":{"stability":0.5,"style":0,"speed":1}}""";

    private static readonly Dictionary<string, (string Id, string? Body)> Known = new()
    {
        ["GET /"] = ("getService", null),
        ["GET /health"] = ("getHealth", null),
        ["GET /health/live"] = ("getLiveness", null),
        ["GET /health/ready"] = ("getReadiness", null),
        ["POST /speak"] = ("speak", """{"text":"Hello there! How are you?","stream":true}"""),
        ["GET /speak"] = ("speakFromQuery", null),
        ["GET /voices"] = ("listSpeakVoices", null),
        ["GET /audio/{id}"] = ("getAudio", null),
        ["POST /v1/audio/speech"] = ("createSpeech", OpenAiSpeech),
        ["POST /v1/audio/speech/batch"] = (
            "createSpeechBatch",
            """{"items":[{"input":"Hello there!"},{"input":"Goodbye.","speed":1.2}],"model":"tts-1","voice":"alloy","response_format":"wav"}"""
        ),
        ["GET /v1/audio/speech/stream"] = ("openSpeechSession", null),
        ["GET /v1/audio/voices"] = ("listVoices", null),
        ["POST /v1/audio/voices"] = ("addVoice", null),
        ["DELETE /v1/audio/voices/{name}"] = ("deleteVoice", null),
        ["GET /v1/audio/models"] = ("listSpeechModels", null),
        ["GET /v1/models"] = ("listModels", null),
        ["GET /v1/models/{id}"] = ("getModel", null),
        ["POST /v1/audio/conversions"] = ("createConversion", null),
        ["POST /v1/audio/watermark"] = ("detectWatermark", null),
        ["POST /v1/audio/jobs"] = ("createJob", """{"input":"Hello there.\n\nThe end.","voice":"alloy","response_format":"mp3"}"""),
        ["GET /v1/audio/jobs"] = ("listJobs", null),
        ["GET /v1/audio/jobs/{id}"] = ("getJob", null),
        ["GET /v1/audio/jobs/{id}/events"] = ("watchJob", null),
        ["POST /v1/audio/jobs/{id}/pause"] = ("pauseJob", null),
        ["POST /v1/audio/jobs/{id}/resume"] = ("resumeJob", null),
        ["DELETE /v1/audio/jobs/{id}"] = ("deleteJob", null),
        ["GET /v1/audio/jobs/{id}/result"] = ("getJobResult", null),
        ["POST /v1/text-to-speech/{voice_id}"] = ("elevenLabsConvert", ElevenSpeech),
        ["POST /v1/text-to-speech/{voice_id}/stream"] = ("elevenLabsStream", ElevenSpeech),
        ["POST /v1/text-to-speech/{voice_id}/with-timestamps"] = ("elevenLabsConvertWithTimestamps", ElevenSpeech),
        ["POST /v1/text-to-speech/{voice_id}/stream/with-timestamps"] = ("elevenLabsStreamWithTimestamps", ElevenSpeech),
        ["GET /v1/text-to-speech/{voice_id}/stream-input"] = ("elevenLabsOpenSession", null),
        ["GET /v1/text-to-speech/{voice_id}/multi-stream-input"] = ("elevenLabsOpenContexts", null),
        ["GET /v1/voices"] = ("elevenLabsListVoices", null),
        ["GET /v1/voices/{voice_id}"] = ("elevenLabsGetVoice", null),
        ["POST /v1/speak"] = ("deepgramSpeak", """{"text":"Hello there!"}"""),
        ["GET /v1/speak"] = ("deepgramOpenSession", null),
        ["POST /tts"] = ("serverSpeak", """{"text":"Hello there!","voice_mode":"predefined","output_format":"wav"}"""),
        ["GET /tts-stream"] = ("serverStream", null),
        ["GET /get_predefined_voices"] = ("serverListVoices", null),
        ["GET /get_reference_files"] = ("serverListRecordings", null),
        ["GET /api/model-info"] = ("serverGetModel", null),
    };

    /// <summary>Values of parameters that are required, by their names, or by how the path begins that they are in.</summary>
    private static readonly Dictionary<string, string> Parameters = new()
    {
        ["text"] = Text,
        ["voice_id"] = "default",
        ["name"] = "Ann",
        ["/audio/{id}"] = "3f0c2a6b9d1e4c58a7b6e5d4c3b2a190",
        ["/v1/models/{id}"] = "tts-1",
        ["/v1/audio/jobs/{id}"] = "3f0c2a6b9d1e4c58a7b6e5d4c3b2a190",
    };

    /// <summary>Adds them to an operation.</summary>
    /// <param name="operation">The operation.</param>
    /// <param name="route">Its method and path: <c>POST /speak</c>.</param>
    public static void Complete(OpenApiOperation operation, string route)
    {
        if (!Known.TryGetValue(route, out var known))
        {
            return;
        }

        operation.OperationId = known.Id;
        if (known.Body is { } body && operation.RequestBody?.Content?.TryGetValue("application/json", out var content) == true)
        {
            content.Example = JsonNode.Parse(body);
        }

        foreach (var parameter in (operation.Parameters ?? []).OfType<OpenApiParameter>().Where(parameter => parameter.Required))
        {
            var path = route[(route.IndexOf(' ', StringComparison.Ordinal) + 1)..];
            parameter.Example = Parameters
                .FirstOrDefault(one => one.Key == parameter.Name || path.StartsWith(one.Key, StringComparison.Ordinal))
                .Value;
        }
    }
}
