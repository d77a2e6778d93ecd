using System.Globalization;
using System.Text;

namespace Chatterbox.Text.Written;

/// <summary>Addresses of the web and of e-mail, read sign by sign.</summary>
internal static class EnglishAddresses
{
    private const string Domain = @"[A-Za-z0-9](?:[A-Za-z0-9-]{0,60}[A-Za-z0-9])?";
    private const string Path = @"(?::\d{1,5})?(?:[/?#][^\s<>""'“”‘’()\[\]{}]{0,300})?(?<![.,;:!?])";
    private const string End = @"(?![\p{L}\d@])";

    private static readonly Dictionary<char, string> Signs = new()
    {
        ['.'] = "dot",
        ['/'] = "slash",
        ['-'] = "dash",
        ['_'] = "underscore",
        ['@'] = "at",
        [':'] = "colon",
        ['?'] = "question mark",
        ['='] = "equals",
        ['&'] = "and",
        ['#'] = "hash",
        ['%'] = "percent",
        ['+'] = "plus",
        ['~'] = "tilde",
        ['!'] = "exclamation mark",
        ['*'] = "star",
        [','] = "comma",
        [';'] = "semicolon",
        ['$'] = "dollar",
    };

    /// <summary>The rules.</summary>
    public static IReadOnlyList<EnglishRule> Rules { get; } =
    [
        EnglishRule.Of($@"[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@{Domain}(?:\.{Domain}){{1,5}}{End}", m => Spell(m.Value)),
        EnglishRule.Of(
            $@"(?:[Hh]ttps?|HTTPS?|ftp|wss?)://(?<address>[A-Za-z0-9](?:[A-Za-z0-9.@-]{{0,200}}[A-Za-z0-9])?{Path})",
            m => Spell(m.Groups["address"].Value)
        ),
        EnglishRule.Of($@"[Ww]ww\.(?<address>{Domain}(?:\.{Domain}){{1,5}}{Path})", m => "w w w dot " + Spell(m.Groups["address"].Value)),
        EnglishRule.Of(
            $@"{Domain}(?:\.{Domain}){{0,4}}\.(?:com|org|net|io|edu|gov|dev|app|ai|uk|de|fr|eu|info|tv)(?![\p{{L}}\d-]|\.[A-Za-z]){Path}{End}",
            m => Spell(m.Value)
        ),
    ];

    private static string Spell(string address)
    {
        var said = new StringBuilder();
        address = address.TrimEnd('/');
        for (var i = 0; i < address.Length; )
        {
            var length = 1;
            if (char.IsAsciiDigit(address[i]))
            {
                while (i + length < address.Length && char.IsAsciiDigit(address[i + length]))
                {
                    length++;
                }

                var digits = address.AsSpan(i, length);
                Add(
                    length <= 2 && digits[0] != '0'
                        ? EnglishNumbers.Cardinal(int.Parse(digits, CultureInfo.InvariantCulture))
                        : EnglishNumbers.Digits(digits)
                );
            }
            else if (Signs.TryGetValue(address[i], out var sign))
            {
                Add(sign);
            }
            else
            {
                while (i + length < address.Length && !char.IsAsciiDigit(address[i + length]) && !Signs.ContainsKey(address[i + length]))
                {
                    length++;
                }

                Add(address.Substring(i, length));
            }

            i += length;
        }

        return said.ToString();

        void Add(string words) => said.Append(said.Length > 0 ? " " : "").Append(words);
    }
}
