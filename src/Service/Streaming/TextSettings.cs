using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Text;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Streaming;

/// <summary>How texts as people write them become what is spoken. Requests may say otherwise for themselves.</summary>
internal sealed class TextSettings
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Text";

    /// <summary>Where numbers, dates, amounts, units, addresses and abbreviations are written out as words: in English, in every language
    /// as far
    /// as it is known to be right, or nowhere. A model that was trained to do so itself (Flash) gets texts as they are, unless a request
    /// asks for it.</summary>
    public NormalizedLanguages Normalize { get; set; } = NormalizedLanguages.English;

    /// <summary>Whether marks of Markdown, code blocks and emoji are left out.</summary>
    public bool SkipMarkup { get; set; }

    /// <summary>Words and how they are respelled, by language: <c>Text__Pronunciations__en__SQL=sequel</c>; <c>*</c> is every language. A
    /// word without
    /// capitals stands for any case of it, one with capitals for itself; the longest that fits is taken.</summary>
    public Dictionary<string, Dictionary<string, string>> Pronunciations { get; } = new(StringComparer.OrdinalIgnoreCase);
}

/// <summary>Where texts are written out.</summary>
internal enum NormalizedLanguages
{
    /// <summary>In English.</summary>
    English,

    /// <summary>In every language.</summary>
    All,

    /// <summary>Nowhere.</summary>
    Off,
}

/// <summary>Finds what is spoken of the texts of a request, from its fields and the settings.</summary>
internal sealed class SpokenForms(IOptions<TextSettings> settings)
{
    private const int MostPronunciations = 500;
    private const int LongestWord = 100;

    /// <summary>The form of texts for a model, as the settings say.</summary>
    public SpokenForm Of(ServedModel model) => Of(model, body: null);

    /// <summary>The form of a request's text.</summary>
    /// <exception cref="Hosting.RefusedException">A field of it is wrong.</exception>
    public SpokenForm Of(ServedModel model, SpeechBody? body)
    {
        var language = body?.Language ?? model.OnlyLanguage;
        var isUsual =
            !model.SpellsOut
            && settings.Value.Normalize switch
            {
                NormalizedLanguages.English => language == "en",
                NormalizedLanguages.All => language is not null,
                _ => false,
            };
        if (body?.Markup is not (null or "keep" or "skip"))
        {
            throw OpenAiErrors.Invalid("markup", "'markup' must be keep or skip.");
        }

        return new SpokenForm(
            new TextOptions
            {
                Normalize = body?.Normalize ?? isUsual,
                SkipMarkup = body?.Markup is { } markup ? markup == "skip" : settings.Value.SkipMarkup,
                Pronunciations = Pronunciations(language, body?.Pronunciations),
            },
            language
        );
    }

    private IReadOnlyDictionary<string, string> Pronunciations(string? language, IReadOnlyDictionary<string, string>? own)
    {
        if (
            own?.Count > MostPronunciations
            || own?.Any(word => word.Key.Length is 0 or > LongestWord || word.Value is null or { Length: > LongestWord }) == true
        )
        {
            throw OpenAiErrors.Invalid(
                "pronunciations",
                $"'pronunciations' can have {MostPronunciations} words of 1 to {LongestWord} characters, each with a respelling of at "
                    + $"most {LongestWord}."
            );
        }

        var words = new Dictionary<string, string>();
        IReadOnlyDictionary<string, string>?[] tables =
        [
            settings.Value.Pronunciations.GetValueOrDefault("*"),
            settings.Value.Pronunciations.GetValueOrDefault(language ?? "en"),
            own,
        ];
        foreach (var (word, respelling) in tables.SelectMany(table => table ?? new Dictionary<string, string>()))
        {
            words[word] = respelling;
        }

        return words;
    }
}
