using System.CommandLine;
using System.Globalization;
using System.Numerics.Tensors;
using Chatterbox.Audio;

namespace Chatterbox.Service.Commands;

/// <summary>Where a command's audio goes, and in which format.</summary>
internal sealed class Output
{
    /// <summary>The name of standard input and output.</summary>
    public const string Standard = "-";

    /// <summary>Chooses the file.</summary>
    public static readonly Option<string?> To = new("--out", "-o")
    {
        Description = "File to write, in the format of its ending (.wav, .mp3, .opus, .flac, .aac …); - writes to standard output.",
    };

    /// <summary>Chooses the format.</summary>
    public static readonly Option<string?> Format = new("--format")
    {
        Description =
            "Format instead of that of the file's ending: wav, mp3, opus, flac, aac, pcm, ulaw or alaw, "
            + "also with rates, such as mp3_44100_128 or pcm_16000.",
    };

    private readonly string _path;
    private readonly AudioFormat _format;

    private Output(string path, AudioFormat format) => (_path, _format) = (path, format);

    private string Where => _path == Standard ? "standard output" : Path.GetFullPath(_path);

    /// <summary>The output that the command line asks for, checked before anything is generated.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="defaultPath">File to write where it names none.</param>
    /// <exception cref="RequestException">There is no such format, or nothing here that encodes it.</exception>
    public static Output Of(ParseResult parsed, string defaultPath)
    {
        var named = parsed.GetValue(Format) is { } name ? AudioFormat.Parse(name) : null;
        var path = parsed.GetValue(To) ?? (named is null ? defaultPath : Path.ChangeExtension(defaultPath, named.Name));
        var format = named ?? (path == Standard ? AudioFormat.Named["wav"] : AudioFormat.OfFile(path));
        using var codecs = ModelCommand.Codecs();
        codecs.ThrowIfUnsupported(format);
        return new Output(path, format);
    }

    /// <summary>The output of one of several texts; numbers have equally many digits.</summary>
    /// <exception cref="RequestException">Standard output cannot take several.</exception>
    public Output Numbered(int number, int count)
    {
        if (_path == Standard)
        {
            throw new RequestException("Several files cannot go to standard output. Name one with --out.", "out");
        }

        var digits = number.ToString($"D{count.ToString(CultureInfo.InvariantCulture).Length}", CultureInfo.InvariantCulture);
        return new Output(
            Path.Combine(
                Path.GetDirectoryName(_path) ?? "",
                $"{Path.GetFileNameWithoutExtension(_path)}-{digits}{Path.GetExtension(_path)}"
            ),
            _format
        );
    }

    /// <summary>Writes the audio, and a line about it.</summary>
    /// <param name="samples">Samples at 24 kHz.</param>
    /// <param name="seed">The seed it was generated with.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public void Write(ReadOnlyMemory<float> samples, long seed, CancellationToken cancellationToken)
    {
        using var codecs = ModelCommand.Codecs();
        try
        {
            using var file = _path == Standard ? Console.OpenStandardOutput() : File.Create(_path);
            codecs.WriteAsync(file, samples, _format, cancellationToken: cancellationToken).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{Where} cannot be written: {e.Message}", e);
        }

        var (seconds, peak) = (samples.Length / (double)SpeechResult.SampleRate, Math.Abs(TensorPrimitives.MaxMagnitude(samples.Span)));
        (_path == Standard ? Console.Error : Console.Out).WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Where}: {seconds:0.00} s at {_format.SampleRate} Hz, peak {20 * Math.Log10(Math.Max(peak, 1e-9)):0.0} dBFS, seed {seed}"
            )
        );
    }
}
