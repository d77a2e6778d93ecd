namespace Chatterbox.Service.Hosting;

/// <summary>Dialects of other services, each on or off; <c>GET /</c> lists the routes of those that are on.</summary>
internal sealed class DialectOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Dialects";

    /// <summary>Whether the routes of ElevenLabs are answered: <c>/v1/text-to-speech/…</c>, <c>/v1/voices</c>.</summary>
    public bool ElevenLabs { get; set; } = true;

    /// <summary>Whether the route of Deepgram is answered: <c>/v1/speak</c>.</summary>
    public bool Deepgram { get; set; } = true;

    /// <summary>Whether the routes are answered that SillyTavern's Chatterbox provider uses: <c>/tts</c>, <c>/tts-stream</c>,
    /// <c>/get_predefined_voices</c>, ….</summary>
    public bool ChatterboxServer { get; set; } = true;

    /// <summary>Whether <c>/v1/audio/speech/stream</c> also takes the messages of vLLM-Omni.</summary>
    public bool VllmOmni { get; set; } = true;
}
