using System.Text.RegularExpressions;

namespace Chatterbox.Text.SpelledOut;

/// <summary>Abbreviations in full, and dashes and signs as words or pauses.</summary>
/// <remarks>Ports _expand_abbreviations of text_norm/cleaners.py. A word that only looks like an abbreviation is changed too.</remarks>
internal static class Abbreviations
{
    private const string WordCharacter = @"[\p{L}\p{N}_]";
    private const string Letter = "[a-zA-Zıİ]"; // what Python's [a-z] is without regard to case

    /// <summary>In their order: what one makes may be changed by the next.</summary>
    private static readonly (string Short, string Full)[] Words =
    [
        ("mrs", "misess"),
        ("mr", "mister"),
        ("dr", "doctor"),
        ("st", "saint"),
        ("jr", "junior"),
        ("maj", "major"),
        ("gen", "general"),
        ("drs", "doctors"),
        ("rev", "reverend"),
        ("lt", "lieutenant"),
        ("hon", "honorable"),
        ("sgt", "sergeant"),
        ("capt", "captain"),
        ("esq", "esquire"),
        ("ltd", "limited"),
        ("col", "colonel"),
        ("ft", "feet"),
        ("abbrev", "abbreviation"),
        ("ave", "avenue"),
        ("abstr", "abstract"),
        ("addr", "address"),
        ("jan", "january"),
        ("feb", "february"),
        ("mar", "march"),
        ("apr", "april"),
        ("jul", "july"),
        ("aug", "august"),
        ("sep", "september"),
        ("sept", "september"),
        ("oct", "october"),
        ("nov", "november"),
        ("dec", "december"),
        ("mon", "monday"),
        ("tue", "tuesday"),
        ("wed", "wednesday"),
        ("thur", "thursday"),
        ("fri", "friday"),
        ("sec", "second"),
        ("min", "minute"),
        ("mo", "month"),
        ("yr", "year"),
        ("cal", "calorie"),
        ("dept", "department"),
        ("gal", "gallon"),
        ("kg", "kilogram"),
        ("km", "kilometer"),
        ("mt", "mount"),
        ("oz", "ounce"),
        ("vol", "volume"),
        ("vs", "versus"),
        ("yd", "yard"),
        ("e.g", "eg"),
        ("i.e", "ie"),
        ("etc", "etc"),
        ("ai", "a i"),
        ("cms", "c m s"),
        ("cdn", "c d n"),
        ("ceo", "c e o"),
        ("tts", "t t s"),
    ];

    private static readonly (string Pattern, string With)[] Signs =
    [
        ("[–—]", "-"),
        (@"(?<=\d\s)>(?=\s\d)", "is greater than"),
        (@"(?<=\d\s)<(?=\s\d)", "is less than"),
        (@"(?<=\D)\s*-\s+(?=\D)", ", "),
        (@"(?<=\D)\s+-\s*(?=\D)", ", "),
        ($"(?<={Letter})-(?={Letter})", " "),
        ($@"(?<={Letter})-(?=\d)", " "),
        ($@"(?<=\d)-(?={Letter})", " "),
        (@"(?<=\d)-(?=\d)", " - "),
    ];

    private static readonly (Regex Pattern, string With)[] Rules =
    [
        .. Words.Select(word => (new Regex($@"(?<!{WordCharacter}){InAnyCase(word.Short)}(?!{WordCharacter})\.?"), word.Full)),
        .. Signs.Select(sign => (new Regex(sign.Pattern), sign.With)),
    ];

    /// <summary>Expands them.</summary>
    public static string Expand(string text) => Rules.Aggregate(text, (sofar, rule) => rule.Pattern.Replace(sofar, rule.With));

    private static string InAnyCase(string word) =>
        string.Concat(
            word.Select(c =>
                c switch
                {
                    '.' => @"\.",
                    'i' => "[iIıİ]",
                    _ => $"[{c}{char.ToUpperInvariant(c)}]",
                }
            )
        );
}
