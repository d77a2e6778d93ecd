using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Chatterbox.Audio.Ffmpeg;
using Chatterbox.Audio.Flac;
using Chatterbox.Audio.Mp3;
using Chatterbox.Audio.Ogg;

namespace Chatterbox.Audio;

/// <summary>What a format runs on.</summary>
/// <param name="Name">The format.</param>
/// <param name="Encoder">What encodes it here; null where it cannot be encoded.</param>
/// <param name="Missing">What is missing where it cannot be encoded, and how to get it.</param>
public sealed record FormatSupport(string Name, string? Encoder, string? Missing);

/// <summary>A chapter of an audiobook.</summary>
/// <param name="Title">Its title.</param>
/// <param name="StartSeconds">From the beginning of the audiobook to that of the chapter.</param>
/// <param name="EndSeconds">To its end.</param>
public sealed record AudioChapter(string Title, double StartSeconds, double EndSeconds);

/// <summary>The one place that decides what decodes and what encodes each format on this computer: almost all of them this process; AAC,
/// and recordings of rarer formats, ffmpeg.</summary>
/// <param name="ffmpeg">The ffmpeg program, by path or by name in PATH.</param>
public sealed class AudioCodecs(string ffmpeg = "ffmpeg") : IDisposable
{
    private const string InThisProcess = "built in";
    private const int BlockBytes = 1 << 16;

    private readonly FfmpegProgram _ffmpeg = new(ffmpeg);
    private readonly FfmpegEncoder _ffmpegEncoder = new(new FfmpegProgram(ffmpeg));
    private readonly FfmpegBook _ffmpegBook = new(new FfmpegProgram(ffmpeg));

    /// <summary>Reads a recording.</summary>
    /// <inheritdoc cref="AudioFile.Load(string, TimeSpan, CancellationToken)"/>
    public AudioClip Load(string path, TimeSpan longest, CancellationToken cancellationToken = default) =>
        AudioFile.Load(path, longest, new RecordingDecoder(_ffmpeg), cancellationToken);

    /// <summary>Reads a recording from a stream.</summary>
    /// <inheritdoc cref="AudioFile.Load(Stream, TimeSpan, CancellationToken)"/>
    public AudioClip Load(Stream stream, TimeSpan longest, CancellationToken cancellationToken = default) =>
        AudioFile.Load(stream, longest, new RecordingDecoder(_ffmpeg), cancellationToken);

    /// <summary>Whether recordings of other formats than those decoded in this process can be read.</summary>
    public bool DecodesRareFormats => _ffmpeg.IsInstalled;

    /// <summary>Whether a format is encoded by a process of its own, of which a computer has room for few.</summary>
    public static bool NeedsProcess(AudioFormat format) => format.Codec == AudioCodec.Aac;

    /// <summary>Why a format cannot be encoded here, and how that is changed; null where it can.</summary>
    public string? UnsupportedReason(AudioFormat format) =>
        NeedsProcess(format) && !_ffmpeg.IsInstalled
            ? $"{format.Name} needs ffmpeg, which is not installed here. {FfmpegProgram.HowToInstall}, or choose mp3, opus, flac, "
                + $"wav or pcm."
            : null;

    /// <summary>What each named format runs on here.</summary>
    public IReadOnlyList<FormatSupport> Support() =>
        [
            .. AudioFormat.Named.Values.Select(format => new FormatSupport(
                format.Name,
                UnsupportedReason(format) is null ? EncoderOf(format) : null,
                UnsupportedReason(format)
            )),
        ];

    /// <summary>Encodes 24 kHz speech while it is made.</summary>
    /// <param name="speech">Blocks of samples at 24 kHz, full scale at ±1.</param>
    /// <param name="format">The format.</param>
    /// <param name="speed">Tempo; the pitch stays. 1 leaves the samples as they are.</param>
    /// <param name="begun">Completes when the first block is near, or none will come; an encoder that is a process is not started
    /// before.</param>
    /// <param name="isWhole">True: the file is one block, once it is complete, and its header says its length (wav, flac, mp3).</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Blocks of bytes; each is good until the next is asked for. None where there are no samples.</returns>
    /// <exception cref="EncoderException">The encoder failed.</exception>
    public IAsyncEnumerable<ReadOnlyMemory<byte>> Encode(
        IAsyncEnumerable<ReadOnlyMemory<float>> speech,
        AudioFormat format,
        double speed = 1,
        Task? begun = null,
        bool isWhole = false,
        CancellationToken cancellationToken = default
    )
    {
        var isHere = !NeedsProcess(format);
        var bytes = EncodeHere(speech, () => Create(format, speed, isWhole), isHere && isWhole, cancellationToken);
        if (isHere)
        {
            return bytes;
        }

        bytes = _ffmpegEncoder.Encode(bytes, begun ?? Task.CompletedTask, format, cancellationToken);
        return isWhole ? Join(bytes, cancellationToken) : bytes;
    }

    /// <summary>Encodes 24 kHz speech that is complete.</summary>
    /// <inheritdoc cref="Encode(IAsyncEnumerable{ReadOnlyMemory{float}}, AudioFormat, double, Task, bool, CancellationToken)"/>
    /// <param name="output">Where the bytes go; left open.</param>
    /// <param name="samples">Samples at 24 kHz, full scale at ±1.</param>
    /// <param name="format">The format.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task WriteAsync(
        Stream output,
        ReadOnlyMemory<float> samples,
        AudioFormat format,
        double speed = 1,
        CancellationToken cancellationToken = default
    )
    {
        ThrowIfUnsupported(format);
        var encoded = Encode(new[] { samples }.ToAsyncEnumerable(), format, speed, isWhole: true, cancellationToken: cancellationToken);
        await foreach (var bytes in encoded.ConfigureAwait(false))
        {
            await output.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Encodes speech of any length into a file, as it comes; the file's header has its length in the end.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="speech">Blocks of samples at 24 kHz, full scale at ±1.</param>
    /// <param name="format">The format.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="RequestException">The format cannot be encoded here.</exception>
    /// <exception cref="EncoderException">The encoder failed.</exception>
    public async Task WriteFileAsync(
        string path,
        IAsyncEnumerable<ReadOnlyMemory<float>> speech,
        AudioFormat format,
        double speed = 1,
        CancellationToken cancellationToken = default
    )
    {
        ThrowIfUnsupported(format);
        var file = new FileStream(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None, BlockBytes);
        await using var closing = file.ConfigureAwait(false);
        if (NeedsProcess(format))
        {
            await foreach (var bytes in Encode(speech, format, speed, cancellationToken: cancellationToken).ConfigureAwait(false))
            {
                await file.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
            }

            return;
        }

        using var encoder = Create(format, speed, isWhole: true);
        var output = new ArrayBufferWriter<byte>();
        await foreach (var block in speech.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            encoder.Encode(block.Span, output);
            await file.WriteAsync(output.WrittenMemory, cancellationToken).ConfigureAwait(false);
            output.ResetWrittenCount();
        }

        encoder.Finish(output);
        await file.WriteAsync(output.WrittenMemory, cancellationToken).ConfigureAwait(false);
        var head = new byte[Math.Min(IAudioEncoder.HeadBytes, file.Length)];
        file.Position = 0;
        await file.ReadExactlyAsync(head, cancellationToken).ConfigureAwait(false);
        encoder.Complete(head, file.Length);
        file.Position = 0;
        await file.WriteAsync(head, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Why no audiobook with chapters (m4b) can be written here, and how that is changed; null where it can.</summary>
    public string? UnsupportedBookReason =>
        _ffmpeg.IsInstalled ? null : $"m4b needs ffmpeg, which is not installed here. {FfmpegProgram.HowToInstall}.";

    /// <summary>Encodes speech of any length into an audiobook with chapters: AAC in MP4 (m4b).</summary>
    /// <inheritdoc cref="WriteFileAsync"/>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="speech">Blocks of samples at 24 kHz, full scale at ±1.</param>
    /// <param name="title">Its title.</param>
    /// <param name="chapters">Its chapters, in order.</param>
    /// <param name="speed">Tempo; the pitch stays.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="RequestException">ffmpeg is not installed.</exception>
    public Task WriteBookAsync(
        string path,
        IAsyncEnumerable<ReadOnlyMemory<float>> speech,
        string title,
        IReadOnlyList<AudioChapter> chapters,
        double speed = 1,
        CancellationToken cancellationToken = default
    )
    {
        if (UnsupportedBookReason is { } reason)
        {
            throw new RequestException(reason);
        }

        var samples = EncodeHere(speech, () => Create(AudioFormat.Named["aac"], speed, isWhole: false), isWhole: false, cancellationToken);
        return _ffmpegBook.WriteAsync(path, samples, title, chapters, cancellationToken);
    }

    /// <summary>Refuses a format that cannot be encoded here.</summary>
    /// <exception cref="RequestException">It cannot.</exception>
    public void ThrowIfUnsupported(AudioFormat format)
    {
        if (UnsupportedReason(format) is { } reason)
        {
            throw new RequestException(reason);
        }
    }

    /// <summary>Ends the processes that wait for a recording.</summary>
    public void Dispose() => _ffmpegEncoder.Dispose();

    private static string EncoderOf(AudioFormat format) =>
        format.Codec switch
        {
            AudioCodec.Aac => FfmpegProgram.DefaultName,
            AudioCodec.Mp3 when LameEncoder.IsInstalled => "libmp3lame",
            _ => InThisProcess,
        };

    private static IAudioEncoder Create(AudioFormat format, double speed, bool isWhole)
    {
        IAudioEncoder encoder = format.Codec switch
        {
            AudioCodec.Mp3 when LameEncoder.IsInstalled => new LameEncoder(format.SampleRate, format.BitRate!.Value, isWhole),
            AudioCodec.Mp3 => new Mp3Encoder(format.SampleRate, format.BitRate!.Value, isWhole),
            AudioCodec.Opus => new OpusEncoder(format.SampleRate, format.BitRate!.Value),
            AudioCodec.Flac => new FlacEncoder(format.SampleRate, isWhole),
            AudioCodec.Aac => new FloatEncoder(),
            _ => new PcmEncoder(format),
        };
        encoder =
            format.SampleRate == SpeechResult.SampleRate
                ? encoder
                : new ResamplingEncoder(SpeechResult.SampleRate, format.SampleRate, encoder);
        return speed == 1 ? encoder : new TempoEncoder(speed, SpeechResult.SampleRate, encoder);
    }

    // A header waits for the first samples: until then an error can still be an error.
    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> EncodeHere(
        IAsyncEnumerable<ReadOnlyMemory<float>> speech,
        Func<IAudioEncoder> create,
        bool isWhole,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        using var encoder = create();
        var output = new ArrayBufferWriter<byte>();
        var isBegun = false;
        await foreach (var block in speech.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            if (block.Length == 0)
            {
                continue;
            }

            encoder.Encode(block.Span, output);
            isBegun = true;
            if (output.WrittenCount > 0 && !isWhole)
            {
                yield return output.WrittenMemory;
                output.ResetWrittenCount();
            }
        }

        if (isBegun)
        {
            encoder.Finish(output);
            if (isWhole)
            {
                encoder.Complete(MemoryMarshal.AsMemory(output.WrittenMemory).Span, output.WrittenCount);
            }

            if (output.WrittenCount > 0)
            {
                yield return output.WrittenMemory;
            }
        }
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> Join(
        IAsyncEnumerable<ReadOnlyMemory<byte>> blocks,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        var whole = new ArrayBufferWriter<byte>();
        await foreach (var block in blocks.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            whole.Write(block.Span);
        }

        if (whole.WrittenCount > 0)
        {
            yield return whole.WrittenMemory;
        }
    }
}
