namespace Chatterbox;

/// <summary>What is known of a model before it is loaded.</summary>
/// <param name="Name">Name of the variant, such as english or turbo.</param>
/// <param name="Languages">Codes of the languages that it speaks.</param>
/// <param name="LacksSettings">Names of the settings of <see cref="SamplingOptions"/> that it does not have and refuses.</param>
public sealed record ModelDescription(string Name, IReadOnlyList<string> Languages, IReadOnlyList<string> LacksSettings)
{
    /// <summary>Tags of sounds and moods that it speaks, without their brackets: laugh, sigh, ….</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>Whether it writes numbers and abbreviations out by itself, as it was trained to see them.</summary>
    public bool SpellsOut { get; init; }
}

/// <summary>Memory that the weights of a file take.</summary>
/// <param name="Content">A name for what it holds: models loaded with the same <see cref="SharedParts"/> have what has one name
/// once.</param>
/// <param name="Bytes">How much.</param>
public sealed record WeightMemory(string Content, long Bytes);
