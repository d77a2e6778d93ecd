namespace Chatterbox.Service.OpenAi;

/// <summary>Other names of voices and models on OpenAI's routes.</summary>
internal sealed class OpenAiOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "OpenAi";

    /// <summary>Target of an alias: the default model, or the model's own voice.</summary>
    public const string Default = "default";

    /// <summary>Other names of voices. OpenAI's own names stand for the default voice, so that its clients work unchanged; a voice of the
    /// folder goes before an alias of the same name. An empty value removes an alias, so that its name is answered with 404.</summary>
    public Dictionary<string, string> VoiceAliases { get; } =
        Names("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse");

    /// <summary>Other names of models. OpenAI's own names stand for the default model, so that its clients work unchanged. <c>*</c> at the
    /// end of a
    /// name stands for any characters. An empty value removes an alias, so that its name is answered with 404.</summary>
    public Dictionary<string, string> ModelAliases { get; } = Names("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-*");

    /// <summary>The name that an alias stands for; null if there is no such alias.</summary>
    public static string? Target(Dictionary<string, string> aliases, string name)
    {
        if (!aliases.TryGetValue(name, out var target))
        {
            target = aliases
                .Where(a => a.Key.EndsWith('*') && name.StartsWith(a.Key[..^1], StringComparison.OrdinalIgnoreCase))
                .OrderByDescending(a => a.Key.Length)
                .FirstOrDefault()
                .Value;
        }

        return string.IsNullOrEmpty(target) ? null : target;
    }

    private static Dictionary<string, string> Names(params IEnumerable<string> names) =>
        names.ToDictionary(name => name, _ => Default, StringComparer.OrdinalIgnoreCase);
}

/// <summary>What is refused instead of ignored.</summary>
internal sealed class StrictOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Strict";

    /// <summary>Whether a field that <c>/v1/audio/speech</c> does not know is refused with 400, as at OpenAI. Otherwise it is ignored, and
    /// the header
    /// <c>X-Chatterbox-Ignored</c> names it.</summary>
    public bool UnknownFields { get; set; }
}
