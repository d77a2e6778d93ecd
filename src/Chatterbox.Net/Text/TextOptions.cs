namespace Chatterbox.Text;

/// <summary>How a text as people write it becomes what is spoken. Nothing is changed by default.</summary>
public sealed record TextOptions
{
    /// <summary>Whether numbers, dates, times, amounts, units, addresses and abbreviations are written out as words: all of them in
    /// English,
    /// numbers, percentages and euros in German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Norwegian and Turkish. What is not
    /// known
    /// to be right in a language stays as it is.</summary>
    public bool Normalize { get; init; }

    /// <summary>Whether marks of Markdown, code blocks and emoji are left out.</summary>
    public bool SkipMarkup { get; init; }

    /// <summary>Words and how they are respelled. A word without capitals stands for any case of it, one with capitals for itself;
    /// of several that fit, the longest is taken. Whole words only.</summary>
    public IReadOnlyDictionary<string, string> Pronunciations { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether anything is changed.</summary>
    public bool ChangesText => Normalize || SkipMarkup || Pronunciations.Count > 0;
}
