namespace Chatterbox.Service.Wyoming;

/// <summary>What the service is, in the protocol's words.</summary>
internal sealed record WyomingInfo(
    IReadOnlyList<WyomingProgram> Tts,
    IReadOnlyList<string> Asr,
    IReadOnlyList<string> Handle,
    IReadOnlyList<string> Intent,
    IReadOnlyList<string> Wake,
    IReadOnlyList<string> Mic,
    IReadOnlyList<string> Snd
);

/// <summary>A program that speaks.</summary>
internal sealed record WyomingProgram(
    string Name,
    WyomingAttribution Attribution,
    bool Installed,
    string Description,
    string Version,
    IReadOnlyList<WyomingVoice> Voices,
    bool SupportsSynthesizeStreaming
);

/// <summary>A voice.</summary>
internal sealed record WyomingVoice(
    string Name,
    WyomingAttribution Attribution,
    bool Installed,
    string Description,
    string Version,
    IReadOnlyList<string> Languages,
    IReadOnlyList<string>? Speakers = null
);

/// <summary>Whose work it is.</summary>
internal sealed record WyomingAttribution(string Name, string Url);

/// <summary>The form of audio.</summary>
/// <param name="Rate">Samples a second (Hz).</param>
/// <param name="Width">Bytes of a sample.</param>
/// <param name="Channels">Channels.</param>
internal sealed record WyomingAudio(int Rate, int Width, int Channels);

/// <summary>A message could not be taken, or a text not be spoken.</summary>
internal sealed record WyomingError(string Text, string Code);

/// <summary>A message that says nothing more.</summary>
internal sealed record WyomingNothing;
