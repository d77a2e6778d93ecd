using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Chatterbox.Service.ChatterboxServer;
using Chatterbox.Service.Deepgram;
using Chatterbox.Service.Diagnostics;
using Chatterbox.Service.ElevenLabs;
using Chatterbox.Service.Jobs;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Chatterbox.Service.Sessions;
using Chatterbox.Service.Speak;
using Chatterbox.Service.VllmOmni;
using Chatterbox.Service.Wyoming;
using Microsoft.AspNetCore.Mvc;

namespace Chatterbox.Service.Hosting;

/// <summary>Generated code for everything that the service reads and writes as JSON.</summary>
[JsonSerializable(typeof(SpeakRequest))]
[JsonSerializable(typeof(SpeakEvent))]
[JsonSerializable(typeof(SpeakSaved))]
[JsonSerializable(typeof(SpeakError))]
[JsonSerializable(typeof(VoiceList))]
[JsonSerializable(typeof(SpeechBody))]
[JsonSerializable(typeof(SpeechStreamEvent))]
[JsonSerializable(typeof(BatchBody))]
[JsonSerializable(typeof(BatchItem))]
[JsonSerializable(typeof(BatchAnswer))]
[JsonSerializable(typeof(OpenAiErrorBody))]
[JsonSerializable(typeof(ModelList))]
[JsonSerializable(typeof(OpenAiVoiceList))]
[JsonSerializable(typeof(OpenAiVoice))]
[JsonSerializable(typeof(WatermarkReport))]
[JsonSerializable(typeof(JobBody))]
[JsonSerializable(typeof(Job))]
[JsonSerializable(typeof(JobList))]
[JsonSerializable(typeof(JobPlan))]
[JsonSerializable(typeof(JobRecord))]
[JsonSerializable(typeof(SessionSettings))]
[JsonSerializable(typeof(SessionText))]
[JsonSerializable(typeof(SessionOrder))]
[JsonSerializable(typeof(SessionEvent))]
[JsonSerializable(typeof(OmniText))]
[JsonSerializable(typeof(OmniEvent))]
[JsonSerializable(typeof(ElevenBody))]
[JsonSerializable(typeof(ElevenMessage))]
[JsonSerializable(typeof(ElevenEvent))]
[JsonSerializable(typeof(ElevenTimedSpeech))]
[JsonSerializable(typeof(ElevenVoiceList))]
[JsonSerializable(typeof(ElevenVoice))]
[JsonSerializable(typeof(IReadOnlyList<ElevenModel>))]
[JsonSerializable(typeof(ElevenErrorBody))]
[JsonSerializable(typeof(DeepgramBody))]
[JsonSerializable(typeof(DeepgramText))]
[JsonSerializable(typeof(DeepgramEvent))]
[JsonSerializable(typeof(DeepgramErrorBody))]
[JsonSerializable(typeof(ServerBody))]
[JsonSerializable(typeof(List<ServerVoice>))]
[JsonSerializable(typeof(List<string>))]
[JsonSerializable(typeof(ServerModel))]
[JsonSerializable(typeof(ServerErrorBody))]
[JsonSerializable(typeof(WyomingInfo))]
[JsonSerializable(typeof(WyomingAudio))]
[JsonSerializable(typeof(WyomingError))]
[JsonSerializable(typeof(WyomingNothing))]
[JsonSerializable(typeof(Dictionary<string, JsonElement>))]
[JsonSerializable(typeof(HealthReport))]
[JsonSerializable(typeof(SpeechModelList))]
[JsonSerializable(typeof(SpeechObject))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(ServiceInformation))]
[JsonSerializable(typeof(ProblemDetails))]
[JsonSerializable(typeof(string))]
internal sealed partial class ApiJson : JsonSerializerContext;

/// <summary>How everything that the service reads and writes looks as JSON.</summary>
internal static class Json
{
    /// <summary>The options of every route.</summary>
    public static readonly JsonSerializerOptions Options = Configure(new JsonSerializerOptions());

    /// <summary>How a type is written.</summary>
    public static JsonTypeInfo<T> Of<T>() => (JsonTypeInfo<T>)Options.GetTypeInfo(typeof(T));

    /// <summary>Sets options as every route has them.</summary>
    public static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
        options.PropertyNameCaseInsensitive = false;
        options.NumberHandling = JsonNumberHandling.Strict;
        options.RespectNullableAnnotations = true;
        options.RespectRequiredConstructorParameters = true;

        // Answers are never put into HTML, so plain text stays plain.
        options.Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;
        options.TypeInfoResolverChain.Insert(0, ApiJson.Default);
        return options;
    }
}
