using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.Service.Streaming;

namespace Chatterbox.Service.OpenAi;

/// <summary>What <c>POST /v1/audio/speech</c> takes.</summary>
/// <param name="Model">Name of a model; GET /v1/models lists them.</param>
/// <param name="Input">What to say, at most 4096 characters; <c>[pause:1.5s]</c> is a pause.</param>
/// <param name="Voice">Name of a voice, with or without extension; or <c>{"id": name}</c>.</param>
/// <param name="ResponseFormat">mp3, opus, aac, flac, wav, or pcm (24 kHz, 16 bit, mono, little-endian).</param>
/// <param name="Speed">Tempo, 0.25 to 4; the pitch stays.</param>
/// <param name="StreamFormat">audio for the bytes themselves, sse for events.</param>
/// <param name="Instructions">Accepted and ignored; the header X-Chatterbox-Ignored says so.</param>
/// <param name="Exaggeration">How lively the speech is, 0 to 2; 0.5 is neutral.</param>
/// <param name="CfgWeight">Strength of guidance by the text, 0 to 2.</param>
/// <param name="Temperature">0 always takes the likeliest speech token; 0 to 5.</param>
/// <param name="TopP">Keeps the likeliest speech tokens that together reach this probability; above 0, to 1.</param>
/// <param name="MinP">Drops speech tokens less likely than this fraction of the likeliest; 0 to 1.</param>
/// <param name="TopK">Keeps this many of the likeliest speech tokens; 0 keeps all.</param>
/// <param name="RepetitionPenalty">Makes speech tokens that were spoken already less likely; 1 to 10.</param>
/// <param name="Seed">The same seed gives the same speech; one is drawn if none is given, and the header X-Chatterbox-Seed tells it.</param>
/// <param name="Language">Code of the language, for models that speak several.</param>
/// <param name="Chunk">True to send speech while its sentence is still being made; false to make each piece whole first, so that one that went wrong can be spoken again.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record SpeechBody(
    string Model,
    [property: MaxLength(4096)] string Input,
    [property: JsonConverter(typeof(VoiceNameConverter))] string Voice,
    [property: DefaultValue("mp3"), AllowedValues("mp3", "opus", "aac", "flac", "wav", "pcm")] string ResponseFormat = "mp3",
    [property: DefaultValue(1.0), Range(0.25, 4.0)] double Speed = 1,
    [property: DefaultValue("audio"), AllowedValues("audio", "sse")] string StreamFormat = "audio",
    string? Instructions = null,
    [property: Range(0.0, 2.0)] double? Exaggeration = null,
    [property: Range(0.0, 2.0)] double? CfgWeight = null,
    [property: Range(0.0, 5.0)] double? Temperature = null,
    [property: Range(0.0, 1.0, MinimumIsExclusive = true)] double? TopP = null,
    [property: Range(0.0, 1.0)] double? MinP = null,
    [property: Range(0, 100_000)] int? TopK = null,
    [property: Range(1.0, 10.0)] double? RepetitionPenalty = null,
    long? Seed = null,
    string? Language = null,
    [property: DefaultValue(true)] bool Chunk = true);

/// <summary>One event of a speech stream.</summary>
[JsonDerivedType(typeof(SpeechDelta))]
[JsonDerivedType(typeof(SpeechDone))]
[JsonDerivedType(typeof(SpeechError))]
internal abstract record SpeechStreamEvent;

/// <summary>The next bytes of audio.</summary>
/// <param name="Type">speech.audio.delta.</param>
/// <param name="Audio">Bytes in the format asked for, in base64.</param>
internal sealed record SpeechDelta(string Type, ReadOnlyMemory<byte> Audio) : SpeechStreamEvent;

/// <summary>The last event.</summary>
/// <param name="Type">speech.audio.done.</param>
/// <param name="Usage">Tokens of the request.</param>
/// <param name="Repairs">What was done to speech that went wrong; left out if nothing.</param>
internal sealed record SpeechDone(
    string Type, SpeechUsage Usage, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Repairs = null) : SpeechStreamEvent;

/// <summary>The speech ends here, incomplete.</summary>
/// <param name="Type">error.</param>
/// <param name="Error">Why.</param>
internal sealed record SpeechError(string Type, OpenAiError Error) : SpeechStreamEvent;

/// <summary>Tokens of a request.</summary>
/// <param name="InputTokens">Text tokens.</param>
/// <param name="OutputTokens">Speech tokens.</param>
/// <param name="TotalTokens">Both.</param>
internal sealed record SpeechUsage(int InputTokens, int OutputTokens, int TotalTokens)
{
    /// <summary>Those of some speech.</summary>
    public static SpeechUsage Of(JoinedSpeech speech) => new(speech.TextTokens, speech.SpeechTokens, speech.TextTokens + speech.SpeechTokens);
}

/// <summary>The models that there are.</summary>
internal sealed record ModelList(string Object, IReadOnlyList<ModelEntry> Data);

/// <summary>A model.</summary>
/// <param name="Id">What requests call it.</param>
/// <param name="Object">model.</param>
/// <param name="Created">When the service was started, in seconds since 1970.</param>
/// <param name="OwnedBy">resemble-ai.</param>
/// <param name="State">unloaded, loading, ready or failed; one that is unloaded is loaded for the first who asks for it.</param>
/// <param name="IsDefault">Whether it is the one that /speak speaks with.</param>
/// <param name="Languages">Codes that the parameter language takes; empty if the model takes none.</param>
/// <param name="UnsupportedParameters">Parameters of requests for speech that the model does not have, and refuses.</param>
internal sealed record ModelEntry(
    string Id, string Object, long Created, string OwnedBy, string State, bool IsDefault, IReadOnlyList<string> Languages, IReadOnlyList<string> UnsupportedParameters);

/// <summary>The voices that there are.</summary>
internal sealed record OpenAiVoiceList(IReadOnlyList<OpenAiVoice> Voices);

/// <summary>A voice.</summary>
/// <param name="Id">What requests call it.</param>
/// <param name="Name">The same.</param>
/// <param name="Type">built_in, recording, voice_file, or alias.</param>
/// <param name="AliasOf">The voice that an alias stands for.</param>
internal sealed record OpenAiVoice(string Id, string Name, string Type, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? AliasOf = null);

/// <summary>Reads a voice: a name, or an object with an id.</summary>
internal sealed class VoiceNameConverter : JsonConverter<string>
{
    /// <inheritdoc/>
    public override string Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            return reader.GetString()!;
        }

        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException();
        }

        string? id = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isId = reader.ValueTextEquals("id"u8);
            reader.Read();
            if (!isId || reader.TokenType != JsonTokenType.String)
            {
                throw new JsonException();
            }

            id = reader.GetString();
        }

        return id ?? throw new JsonException();
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}
