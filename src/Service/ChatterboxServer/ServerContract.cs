using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.ChatterboxServer;

/// <summary>What <c>POST /tts</c> takes; other fields have no effect.</summary>
/// <param name="Text">What to say.</param>
/// <param name="VoiceMode">predefined or clone: which of the next two names the voice.</param>
/// <param name="PredefinedVoiceId">A file name of <c>GET /get_predefined_voices</c>.</param>
/// <param name="ReferenceAudioFilename">A file name of <c>GET /get_reference_files</c>.</param>
/// <param name="Temperature">0 always takes the likeliest speech token; 0 to 5.</param>
/// <param name="Exaggeration">How lively the speech is, 0 to 2; without effect where the model does not have it.</param>
/// <param name="CfgWeight">Strength of guidance by the text, 0 to 2; without effect where the model does not have it.</param>
/// <param name="Seed">The same seed gives the same speech; 0 and −1 draw one.</param>
/// <param name="SpeedFactor">Tempo, 0.25 to 4.</param>
/// <param name="Language">Code of the language; without effect where the model speaks one.</param>
/// <param name="SplitText">Whether a long text is cut at <paramref name="ChunkSize"/>; otherwise it is cut only where the model
/// must.</param>
/// <param name="ChunkSize">Most characters of a piece, 50 to 500; the model takes up to 280.</param>
/// <param name="OutputFormat">wav, opus or mp3.</param>
/// <param name="Stream">Whether audio is sent as it is made.</param>
internal sealed record ServerBody(
    string Text,
    [property: DefaultValue("predefined"), AllowedValues("predefined", "clone")] string VoiceMode = "predefined",
    string? PredefinedVoiceId = null,
    string? ReferenceAudioFilename = null,
    double? Temperature = null,
    double? Exaggeration = null,
    double? CfgWeight = null,
    long? Seed = null,
    double? SpeedFactor = null,
    string? Language = null,
    [property: DefaultValue(true)] bool SplitText = true,
    [property: DefaultValue(120), Range(50, 500)] int ChunkSize = 120,
    [property: DefaultValue("wav"), AllowedValues("wav", "opus", "mp3")] string OutputFormat = "wav",
    bool Stream = false
);

/// <summary>A voice.</summary>
/// <param name="DisplayName">What people call it.</param>
/// <param name="Filename">What requests call it.</param>
internal sealed record ServerVoice(string DisplayName, string Filename);

/// <summary>The model that speaks.</summary>
/// <param name="Loaded">Whether it is in memory.</param>
/// <param name="Type">Its name.</param>
/// <param name="ClassName">Its name among the kinds of models.</param>
/// <param name="Device">cuda or cpu.</param>
/// <param name="SampleRate">Samples a second (Hz).</param>
/// <param name="SupportsParalinguisticTags">Whether it laughs, sighs, … at a tag.</param>
/// <param name="AvailableParalinguisticTags">Those tags.</param>
/// <param name="SupportsMultilingual">Whether it speaks several languages.</param>
/// <param name="SupportedLanguages">Their codes.</param>
internal sealed record ServerModel(
    bool Loaded,
    string Type,
    string ClassName,
    string Device,
    int SampleRate,
    bool SupportsParalinguisticTags,
    IReadOnlyList<string> AvailableParalinguisticTags,
    bool SupportsMultilingual,
    IReadOnlyList<string> SupportedLanguages
);

/// <summary>An error as these clients know it.</summary>
/// <param name="Detail">What was wrong.</param>
internal sealed record ServerErrorBody(string Detail);

/// <summary>Turns refusals into that error object.</summary>
internal static class ServerErrors
{
    /// <summary>The dialect.</summary>
    public static readonly Hosting.ErrorDialect Dialect = new(
        (http, refusal) =>
            http.Response.WriteAsJsonAsync(
                new ServerErrorBody(refusal.Message),
                Hosting.Json.Of<ServerErrorBody>(),
                cancellationToken: http.RequestAborted
            )
    );
}
