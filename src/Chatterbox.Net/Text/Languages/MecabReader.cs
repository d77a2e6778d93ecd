using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Chatterbox.Text.Languages;

/// <summary>Reads kanji with MeCab and a dictionary of the IPADIC format, where both are installed (Debian, Ubuntu: apt install
/// mecab mecab-ipadic-utf8). Readings differ from those of the reference's pykakasi in places.</summary>
public sealed record MecabReader : IJapaneseReader
{
    private const int ReadingField = 7; // of an entry of IPADIC, in katakana

    private readonly string _program;

    private MecabReader(string program) => _program = program;

    /// <summary>The installed MeCab, or null where there is none, or one with a dictionary of another format.</summary>
    /// <param name="program">The program, by path or by name in PATH.</param>
    public static MecabReader? Find(string program = "mecab")
    {
        try
        {
            var reader = new MecabReader(program);
            return reader.Read("漢字").ToList() is [("漢字", "かんじ")] ? reader : null;
        }
        catch (Exception e) when (e is Win32Exception or UnavailableException)
        {
            return null; // it is not there, or has no dictionary
        }
    }

    /// <inheritdoc/>
    public IEnumerable<JapanesePiece> Read(string text)
    {
        text = Compose(text);
        var from = 0;
        foreach (var line in Analyse(text).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var (word, reading) = line.Split('\t') is [var w, var r] ? (w, r) : throw Unusable($"it said '{line}'");
            var at = text.IndexOf(word, from, StringComparison.Ordinal);
            if (at < 0)
            {
                throw Unusable($"it found '{word}', which is not in the text");
            }

            if (at > from)
            {
                yield return new(text[from..at], text[from..at]); // MeCab skips white space
            }

            from = at + word.Length;
            yield return new(word, reading is "" or "*" ? word : string.Concat(reading.Select(Hiragana)));
        }

        if (from < text.Length)
        {
            yield return new(text[from..], text[from..]);
        }
    }

    /// <summary>Puts voiced kana together, which the text has in two code points and dictionaries in one.</summary>
    private static string Compose(string text)
    {
        var composed = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (c is '\u3099' or '\u309A' && composed.Length > 0 && Voiced(composed[^1], c) is { } voiced)
            {
                composed[^1] = voiced;
            }
            else
            {
                composed.Append(c is '\n' or '\r' ? ' ' : c);
            }
        }

        return composed.ToString();
    }

    /// <summary>か and its mark to が: Unicode has the voiced kana after the other, and in the row of は the half voiced one after
    /// that.</summary>
    private static char? Voiced(char kana, char mark) =>
        (Hiragana(kana), mark) switch
        {
            ('う', '\u3099') => (char)(kana + ('ゔ' - 'う')),
            (
                'か'
                    or 'き'
                    or 'く'
                    or 'け'
                    or 'こ'
                    or 'さ'
                    or 'し'
                    or 'す'
                    or 'せ'
                    or 'そ'
                    or 'た'
                    or 'ち'
                    or 'つ'
                    or 'て'
                    or 'と',
                '\u3099'
            ) => (char)(kana + 1),
            ('は' or 'ひ' or 'ふ' or 'へ' or 'ほ', '\u3099') => (char)(kana + 1),
            ('は' or 'ひ' or 'ふ' or 'へ' or 'ほ', '\u309A') => (char)(kana + 2),
            _ => null,
        };

    private static char Hiragana(char kana) => kana is >= 'ァ' and <= 'ヶ' ? (char)(kana - ('ァ' - 'ぁ')) : kana;

    /// <summary>Has MeCab say each word and its reading.</summary>
    private string Analyse(string text)
    {
        var room = (Encoding.UTF8.GetByteCount(text) + 1024).ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(_program)
        {
            ArgumentList =
            {
                "--input-buffer-size",
                room,
                "--node-format",
                $"%m\t%f[{ReadingField}]\n",
                "--unk-format",
                "%m\t\n",
                "--eos-format",
                "\n",
            },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
            StandardOutputEncoding = Encoding.UTF8,
        };
        using var process = Process.Start(start)!;
        var complaint = process.StandardError.ReadToEndAsync();
        var writing = Task.Run(() =>
        {
            process.StandardInput.Write(text + "\n");
            process.StandardInput.Close();
        });
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        try
        {
            writing.GetAwaiter().GetResult();
        }
        catch (IOException)
        {
            // It ended before it had read everything; its exit code tells.
        }

        return process.ExitCode == 0
            ? said
            : throw Unusable($"it ended with {process.ExitCode}: {complaint.GetAwaiter().GetResult().Trim()}");
    }

    private UnavailableException Unusable(string why) =>
        new(
            $"{_program}, which reads Japanese here, cannot be used: {why}. Install MeCab and a dictionary (apt install mecab "
                + $"mecab-ipadic-utf8), or send the text in kana."
        );
}
