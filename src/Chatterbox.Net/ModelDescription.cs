namespace Chatterbox;

/// <summary>What can be said of a model before it is loaded.</summary>
/// <param name="Name">Name of the variant, such as english or turbo.</param>
/// <param name="Languages">Codes of the languages that it speaks.</param>
/// <param name="LacksSettings">Names of the settings of <see cref="SamplingOptions"/> that it does not have and refuses.</param>
public sealed record ModelDescription(string Name, IReadOnlyList<string> Languages, IReadOnlyList<string> LacksSettings);

/// <summary>A file of weights, as it is in memory.</summary>
/// <param name="Content">A name for what is in it: models loaded with the same <see cref="SharedParts"/> have files with equal names once.</param>
/// <param name="Bytes">Memory that its weights take.</param>
public sealed record WeightFile(string Content, long Bytes);
