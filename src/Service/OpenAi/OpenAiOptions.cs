namespace Chatterbox.Service.OpenAi;

/// <summary>Settings of OpenAI's routes; section <c>OpenAi</c>.</summary>
internal sealed class OpenAiOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "OpenAi";

    /// <summary>Other names of voices: OpenAI's own, so that clients that know no others are heard. <c>default</c> is the model's own voice.</summary>
    public Dictionary<string, string> VoiceAliases { get; } = new(StringComparer.OrdinalIgnoreCase)
    {
        ["alloy"] = "default",
        ["ash"] = "default",
        ["ballad"] = "default",
        ["cedar"] = "default",
        ["coral"] = "default",
        ["echo"] = "default",
        ["fable"] = "default",
        ["marin"] = "default",
        ["nova"] = "default",
        ["onyx"] = "default",
        ["sage"] = "default",
        ["shimmer"] = "default",
        ["verse"] = "default",
    };

    /// <summary>Other names of models; none unless set, so that nobody hears a model other than the one they asked for.</summary>
    public Dictionary<string, string> ModelAliases { get; } = new(StringComparer.OrdinalIgnoreCase);
}
