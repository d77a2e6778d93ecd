using Chatterbox.Text.Written;

namespace Chatterbox.Text;

/// <summary>Turns a text as people write it into what is spoken, part by part in the order of the text: a code block may begin in one part
/// and end in another.</summary>
/// <param name="options">What is changed.</param>
/// <param name="language">Code of the text's language; null is English.</param>
/// <example><code>
/// var form = new SpokenForm(new TextOptions { Normalize = true });
/// form.Of("It costs $3.50.");      // "It costs three dollars and fifty cents."
/// </code></example>
public sealed class SpokenForm(TextOptions options, string? language = null)
{
    private readonly string _language = (language ?? "en").Split('-', '_')[0].ToLowerInvariant();
    private readonly PronunciationTable _pronunciations = new(options.Pronunciations);
    private readonly Markup _markup = new();

    /// <summary>What is spoken of the next part; empty if all of it is left out.</summary>
    /// <param name="part">The part, as it was written.</param>
    public string Of(string part)
    {
        if (!options.ChangesText)
        {
            return part;
        }

        var text = options.SkipMarkup ? _markup.Skip(part) : part;
        return Tags.Between(text, words => _pronunciations.Between(words, options.Normalize ? Normalize : null));
    }

    /// <summary>What is spoken of the next part, in pieces that are not too long for the model: words take more room than digits.</summary>
    internal IEnumerable<(string Written, string Spoken)> Parts(string part)
    {
        var fence = _markup.Fence;
        var spoken = Of(part);
        if (spoken.Length <= Math.Max(SentenceSplitter.DefaultLength, part.Length) || part.Length <= SentenceSplitter.LeastLength)
        {
            return [(part, spoken)];
        }

        _markup.Fence = fence;
        return SentenceSplitter.Split(part, Math.Max(SentenceSplitter.LeastLength, (part.Length / 2) + 1)).SelectMany(Parts);
    }

    /// <summary>The same for another text.</summary>
    public SpokenForm Afresh() => new(options, language);

    private string Normalize(string text) => _language == "en" ? EnglishText.Say(text) : OtherLanguages.Say(text, _language);
}
