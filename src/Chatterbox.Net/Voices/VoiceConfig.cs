namespace Chatterbox.Voices;

/// <summary>How much of a recording each network hears, and what a recording must be. Source: chatterbox tts.py and tts_turbo.py.</summary>
/// <param name="T3PromptSeconds">Beginning of the recording that T3 is prompted with.</param>
/// <param name="MaxT3PromptTokens">Most speech tokens of that prompt.</param>
/// <param name="MinSeconds">A recording must be longer than this.</param>
/// <param name="TargetLoudness">Loudness that the recording is brought to, in LUFS; null leaves it.</param>
internal sealed record VoiceConfig(int T3PromptSeconds, int MaxT3PromptTokens, double MinSeconds, double? TargetLoudness)
{
    /// <summary>English and multilingual. The reference works from 0.05 s on, but what it makes of under a second is noise.</summary>
    public static VoiceConfig Llama { get; } = new(T3PromptSeconds: 6, MaxT3PromptTokens: 150, MinSeconds: 1, TargetLoudness: null);

    /// <summary>Turbo and Nano.</summary>
    public static VoiceConfig Turbo { get; } = new(T3PromptSeconds: 15, MaxT3PromptTokens: 375, MinSeconds: 5, TargetLoudness: -27);

    /// <summary>What is this much quieter than the loudest moment is silence at the recording's ends, in dB.</summary>
    public float SilenceDecibels { get; init; } = 20;

    /// <summary>Speech that must be left between silent ends, in seconds: less is a knock or a click.</summary>
    public double MinSpeechSeconds { get; init; } = 0.5;

    /// <summary>Sizes of the voice encoder.</summary>
    public SpeakerEncoderConfig SpeakerEncoder { get; init; } = new();

    /// <summary>How S3Gen hears a recording.</summary>
    public ReferenceConfig Reference { get; init; } = new();
}
