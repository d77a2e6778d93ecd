using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace Chatterbox.Text;

/// <summary>Text → ids: added tokens are cut out first, the rest is cut into pieces, each piece merged pair by pair.</summary>
/// <remarks>
/// Does what Hugging Face's tokenizers does for the two kinds of files in the family. The merging is Microsoft.ML.Tokenizers';
/// cutting is done here, because .NET's regular expressions see half characters above U+FFFF.
/// </remarks>
internal sealed partial class BytePairEncoder
{
    private const string Unknown = "[UNK]";
    private const string EndOfText = "<|endoftext|>";

    private readonly IReadOnlyDictionary<string, int> _vocabulary;
    private readonly IReadOnlyDictionary<string, int> _addedTokens;
    private readonly Regex _addedToken;
    private readonly Regex _piece;
    private readonly bool _byteLevel;
    private readonly BpeTokenizer _merging;

    private BytePairEncoder(
        IReadOnlyDictionary<string, int> vocabulary,
        IEnumerable<string> merges,
        IReadOnlyDictionary<string, int> addedTokens,
        bool byteLevel
    )
    {
        _vocabulary = vocabulary;
        _addedTokens = addedTokens;
        _byteLevel = byteLevel;
        _piece = byteLevel ? Gpt2Piece() : WordOrSymbols();

        // Leftmost, then longest.
        _addedToken = new Regex(
            string.Join('|', addedTokens.Keys.OrderByDescending(t => t.Length).Select(Regex.Escape).DefaultIfEmpty("(?!)"))
        );
        _merging = BpeTokenizer.Create(
            new BpeOptions(vocabulary)
            {
                Merges = merges,
                UnknownToken = byteLevel ? null : Unknown,
                ByteLevel = byteLevel,
            }
        );
    }

    /// <summary>A tokenizer.json as the Llama models of the family have it: BPE over characters, pieces of word characters or
    /// symbols.</summary>
    /// <exception cref="CheckpointException">The file is missing, damaged, or of another kind.</exception>
    public static BytePairEncoder FromTokenizerJson(string path) =>
        Load(
            path,
            static path =>
            {
                var file =
                    JsonSerializer.Deserialize<TokenizerJson>(File.ReadAllBytes(path), JsonOptions)
                    ?? throw new FormatException("it is empty");
                var kind =
                    $"{file.Model.Type} with pre-tokenizer {file.PreTokenizer?.Type ?? "none"} and normalizer "
                    + $"{file.Normalizer?.Type ?? "none"}";
                if (kind != "BPE with pre-tokenizer Whitespace and normalizer none")
                {
                    throw new FormatException($"it is {kind}, expected BPE with pre-tokenizer Whitespace and normalizer none");
                }

                if (
                    new[] { "[START]", "[STOP]", TextTokenizer.Space, Unknown }.FirstOrDefault(t => !file.Model.Vocab.ContainsKey(t)) is
                    { } missing
                )
                {
                    throw new FormatException($"its vocabulary lacks {missing}");
                }

                return new BytePairEncoder(
                    file.Model.Vocab,
                    file.Model.Merges.Select(Pair),
                    file.AddedTokens.ToDictionary(t => t.Content, t => t.Id),
                    byteLevel: false
                );
            }
        );

    /// <summary>A folder's vocab.json, merges.txt and added_tokens.json, as GPT-2's tokenizer has them: BPE over UTF-8 bytes.</summary>
    /// <exception cref="CheckpointException">A file is missing, damaged, or of another kind.</exception>
    public static BytePairEncoder FromGpt2Files(string folder)
    {
        var vocabulary = Load(Path.Combine(folder, "vocab.json"), ReadIds);
        var added = Load(Path.Combine(folder, "added_tokens.json"), ReadIds);
        return Load(
            Path.Combine(folder, "merges.txt"),
            path =>
            {
                // The characters that stand for the 256 bytes.
                var bytes = new[] { ('!', '~'), ('¡', '¬'), ('®', 'ÿ'), ('Ā', 'Ń') };
                var missing = bytes
                    .SelectMany(r => Enumerable.Range(r.Item1, r.Item2 - r.Item1 + 1))
                    .FirstOrDefault(c => !vocabulary.ContainsKey($"{(char)c}"));
                if (missing != 0)
                {
                    throw new FormatException($"vocab.json beside it lacks the byte symbol {(char)missing}");
                }

                if (vocabulary.TryGetValue(EndOfText, out var id))
                {
                    added.TryAdd(EndOfText, id);
                }

                var merges = File.ReadLines(path).Where(l => l.Length > 0 && !l.StartsWith("#version", StringComparison.Ordinal));
                return new BytePairEncoder(vocabulary, merges, added, byteLevel: true);
            }
        );

        static Dictionary<string, int> ReadIds(string path) =>
            JsonSerializer.Deserialize<Dictionary<string, int>>(File.ReadAllBytes(path)) ?? throw new FormatException("it is empty");
    }

    /// <summary>True where <paramref name="token"/> is one of the added tokens.</summary>
    public bool IsAddedToken(string token) => _addedTokens.ContainsKey(token);

    /// <summary>Ids of a text, in order; a character that the vocabulary lacks becomes the unknown token's.</summary>
    public int[] Encode(string text)
    {
        var ids = new List<int>(text.Length);
        Cut(
            text,
            token => ids.Add(_addedTokens[token]),
            piece => ids.AddRange(_merging.EncodeToIds(piece, considerPreTokenization: false))
        );
        return [.. ids];
    }

    /// <summary>Each character that <see cref="Encode"/> would turn into the unknown token, once, in order.</summary>
    public IReadOnlyList<string> UnknownCharacters(string text)
    {
        var unknown = new List<string>();
        if (!_byteLevel)
        {
            Cut(
                text,
                _ => { },
                piece => unknown.AddRange(piece.EnumerateRunes().Select(r => r.ToString()).Where(c => !_vocabulary.ContainsKey(c)))
            );
        }

        return [.. unknown.Distinct()];
    }

    private void Cut(string text, Action<string> addedToken, Action<string> piece)
    {
        var shadow = Shadow(text);
        var start = 0;
        foreach (var token in _addedToken.EnumerateMatches(text))
        {
            CutPieces(start, token.Index);
            addedToken(text.Substring(token.Index, token.Length));
            start = token.Index + token.Length;
        }

        CutPieces(start, text.Length);

        void CutPieces(int from, int to)
        {
            foreach (var match in _piece.EnumerateMatches(shadow.AsSpan(from, to - from)))
            {
                piece(text.Substring(from + match.Index, match.Length));
            }
        }
    }

    /// <summary>The text with each character above U+FFFF replaced by two of its class below, so that a regular expression sees the
    /// class.</summary>
    private static string Shadow(string text)
    {
        var shadow = text.ToCharArray();
        for (var i = 0; i + 1 < shadow.Length; i++)
        {
            if (char.IsSurrogatePair(text, i))
            {
                shadow[i] = shadow[i + 1] = CharUnicodeInfo.GetUnicodeCategory(text, i) switch
                {
                    <= UnicodeCategory.OtherLetter => 'ª',
                    <= UnicodeCategory.EnclosingMark => '\u0300',
                    UnicodeCategory.DecimalDigitNumber => '\u0660',
                    UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => '²',
                    _ => '§',
                };
                i++;
            }
        }

        return new string(shadow);
    }

    private static T Load<T>(string path, Func<string, T> load)
    {
        try
        {
            return load(path);
        }
        catch (Exception e)
            when (e
                    is IOException
                        or UnauthorizedAccessException
                        or JsonException
                        or FormatException
                        or InvalidOperationException
                        or ArgumentException
            )
        {
            var reason = e is FileNotFoundException or DirectoryNotFoundException ? "it is missing" : e.Message.TrimEnd('.');
            throw new CheckpointException(
                $"{path}: cannot be used as a tokenizer file: {reason}. Download it again from the model's own repository.",
                e
            );
        }
    }

    /// <summary>A merge is written "a b" in older files, ["a", "b"] in newer ones.</summary>
    private static string Pair(JsonElement merge) =>
        merge.ValueKind == JsonValueKind.Array ? string.Join(' ', merge.EnumerateArray().Select(e => e.GetString())) : merge.GetString()!;

    // Rust's \w; \p{M} and the joiners are what .NET's leaves out. Merges exist for letters that both agree on.
    [GeneratedRegex(@"[\w\p{M}\u200C\u200D]+|[^\w\s\p{M}\u200C\u200D]+")]
    private static partial Regex WordOrSymbols();

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Gpt2Piece();

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    private sealed record TokenizerJson(
        IReadOnlyList<AddedToken> AddedTokens,
        TokenizerPart? Normalizer,
        TokenizerPart? PreTokenizer,
        TokenizerModel Model
    );

    private sealed record AddedToken(int Id, string Content);

    private sealed record TokenizerPart(string Type);

    private sealed record TokenizerModel(string Type, Dictionary<string, int> Vocab, IReadOnlyList<JsonElement> Merges);
}
