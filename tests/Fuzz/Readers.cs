using System.Buffers.Binary;
using System.IO.Compression;
using System.Numerics;
using System.Reflection;
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Audio.Aiff;
using Chatterbox.Audio.Flac;
using Chatterbox.Audio.Mp3;
using Chatterbox.Audio.Ogg;
using Chatterbox.Voices;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace Fuzz;

/// <summary>A reader of files, and sound files that inputs are made of.</summary>
/// <param name="Name">What it reads.</param>
/// <param name="Samples">Sound files.</param>
/// <param name="Read">Reads all of a file; says how many bytes the largest thing had that it gave.</param>
/// <param name="MostBytes">What it may allocate besides a multiple of the file: compressed sound is as large as it lasts.</param>
public sealed record Reader(string Name, IReadOnlyList<byte[]> Samples, Func<string, long> Read, long MostBytes = 4 << 20);

/// <summary>The readers that are given files from outside.</summary>
public static class Readers
{
    private const int LargestSample = 20_000;
    private const int LargestCompressedSample = 3_000;
    private const long LongestSoundBytes = 32 << 20;
    private static readonly TimeSpan LongestSound = TimeSpan.FromSeconds(10);

    private static readonly string Fixtures = typeof(Readers)
        .Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(a => a.Key == "Fixtures")
        .Value!;

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Reader> All { get; } =
    [
        new("safetensors", [.. Written(), .. Files("torch", "*.safetensors")], ReadSafetensors),
        new("torch", Files("torch", "*.pt"), ReadTorch),
        new("pickle", [.. Files("torch", "*.pt").SelectMany(PickleOf)], ReadPickle),
        new("wav", [.. Recordings(), .. Files("audio", "*.wav")], ReadWav),
        Compressed("aiff", Aiffs(), AiffReader.Read),
        Compressed(
            "flac",
            [.. Beginnings("*.flac"), Encoded(new FlacEncoder(8_000)), Encoded(new FlacEncoder(24_000))],
            ReadWithFramesSealed
        ),
        Compressed(
            "mp3",
            [.. Beginnings("*.mp3"), Encoded(new Mp3Encoder(24_000, 32_000)), Encoded(new Mp3Encoder(44_100, 64_000))],
            Mp3Reader.Read
        ),
        Compressed("opus", [Encoded(new OpusEncoder(24_000, 24_000)), Encoded(new OpusEncoder(48_000, 64_000))], ReadWithPagesSealed),
    ];

    private static long ReadSafetensors(string path)
    {
        using (var file = SafetensorsFile.Open(path))
        {
            var largest = Largest(file.Tensors.Keys, file.Read);
            if (file.Metadata.Count == 0)
            {
                return largest;
            }
        }

        var (voice, _) = VoiceFile.Load(path);
        return voice.S3Gen.Mel.Count * sizeof(float);
    }

    private static long ReadTorch(string path)
    {
        using (var file = TorchFile.Open(path))
        {
            var largest = Largest(file.Tensors.Keys, file.Read);
            if (!file.Tensors.ContainsKey("gen.prompt_token"))
            {
                return largest;
            }
        }

        return CondsFile.Read(path).S3Gen.Mel.Count * sizeof(float);
    }

    /// <summary>The pickle alone: damage to a whole archive is mostly found before its pickle is reached.</summary>
    private static long ReadPickle(string path)
    {
        try
        {
            PickleReader.Read(File.ReadAllBytes(path), (key, type, count) => new TorchStorage(key, type, count, 0));
            return 0;
        }
        catch (Exception e) when (e is InvalidDataException or NotSupportedException)
        {
            throw new CheckpointException(e.Message, e); // as TorchFile does
        }
    }

    private static long ReadWav(string path) => WavFile.Read(path).Samples.Length * sizeof(float);

    private static Reader Compressed(string name, IReadOnlyList<byte[]> samples, RecordingReader read) =>
        new(
            name,
            samples,
            path =>
            {
                using var file = File.OpenRead(path);
                try
                {
                    return read(file, new RecordingSource(name, LongestSound, CancellationToken.None)).Samples.Length * sizeof(float);
                }
                catch (NotDecodedHereException e)
                {
                    throw new VoiceException(e.Message, e); // as AudioFile does
                }
            },
            LongestSoundBytes
        );

    /// <summary>Gives damaged pages a right checksum: otherwise nothing after it would be reached.</summary>
    private static AudioClip ReadWithPagesSealed(Stream stream, RecordingSource source)
    {
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        var bytes = copy.ToArray();
        for (var at = 0; at + OggPage.HeaderBytes <= bytes.Length; )
        {
            var end = at + OggPage.HeaderBytes + bytes[at + OggPage.HeaderBytes - 1];
            end +=
                end <= bytes.Length
                    ? bytes.AsSpan(at + OggPage.HeaderBytes, end - at - OggPage.HeaderBytes).ToArray().Sum(length => length)
                    : 0;
            OggPage.Seal(bytes.AsSpan(at..Math.Min(end, bytes.Length)));
            at = end;
        }

        return OpusReader.Read(new MemoryStream(bytes), source);
    }

    /// <summary>Gives damaged frames right checksums, for the same reason. Where the decoder finds the end of a frame is not known here: it
    /// is
    /// taken to be before the next that begins as frames do.</summary>
    private static AudioClip ReadWithFramesSealed(Stream stream, RecordingSource source)
    {
        const int LongestHeader = 16;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        var bytes = copy.ToArray();
        var starts = Enumerable
            .Range(0, Math.Max(0, bytes.Length - LongestHeader))
            .Where(i => bytes[i] == 0xFF && bytes[i + 1] >> 1 == 0x7C)
            .ToList();
        foreach (
            var (start, end) in starts.Zip([.. starts.Skip(1), bytes.Length]).Where(frame => frame.Second - frame.First > LongestHeader)
        )
        {
            var frame = bytes.AsSpan(start..end);
            var header = HeaderBytes(frame);
            frame[header] = FlacChecksums.Crc8(0, frame[..header]);
            BinaryPrimitives.WriteUInt16BigEndian(frame[^2..], FlacChecksums.Crc16(0, frame[..^2]));
        }

        return FlacReader.Read(new MemoryStream(bytes), source);

        // Sync, codes of size and rate, channels and depth; the frame's number; size and rate where their codes say so.
        static int HeaderBytes(ReadOnlySpan<byte> frame) =>
            4
            + Math.Max(1, BitOperations.LeadingZeroCount(~((uint)frame[4] << 24)))
            + (
                (frame[2] >> 4) switch
                {
                    6 => 1,
                    7 => 2,
                    _ => 0,
                }
            )
            + (
                (frame[2] & 15) switch
                {
                    12 => 1,
                    13 or 14 => 2,
                    _ => 0,
                }
            );
    }

    private static IEnumerable<byte[]> Beginnings(string pattern) =>
        Files("audio", pattern).Select(bytes => bytes[..LargestCompressedSample]);

    private static byte[] Encoded(IAudioEncoder encoder)
    {
        using (encoder)
        {
            var output = new System.Buffers.ArrayBufferWriter<byte>();
            encoder.Encode([.. Enumerable.Range(0, 6000).Select(i => 0.3f * MathF.Sin(i / 9f) * MathF.Sin(i / 700f))], output);
            encoder.Finish(output);
            return output.WrittenSpan[..Math.Min(output.WrittenCount, LargestCompressedSample)].ToArray();
        }
    }

    /// <summary>AIFF files of 16-bit integers and of floating point.</summary>
    private static IReadOnlyList<byte[]> Aiffs() =>
        [
            [
                .. "FORM"u8,
                0,
                0,
                0,
                120,
                .. "AIFFCOMM"u8,
                0,
                0,
                0,
                18,
                0,
                1,
                0,
                0,
                0,
                20,
                0,
                16,
                0x40,
                0x0D,
                0xBB,
                0x80,
                0,
                0,
                0,
                0,
                0,
                0,
                .. "SSND"u8,
                0,
                0,
                0,
                48,
                .. new byte[8],
                .. Enumerable.Range(0, 40).Select(i => (byte)(i * 37)),
            ],
            [
                .. "FORM"u8,
                0,
                0,
                0,
                140,
                .. "AIFCFVER"u8,
                0,
                0,
                0,
                4,
                0xA2,
                0x80,
                0x51,
                0x40,
                .. "COMM"u8,
                0,
                0,
                0,
                24,
                0,
                2,
                0,
                0,
                0,
                5,
                0,
                32,
                0x40,
                0x0E,
                0xAC,
                0x44,
                0,
                0,
                0,
                0,
                0,
                0,
                .. "fl32"u8,
                0,
                0,
                .. "SSND"u8,
                0,
                0,
                0,
                48,
                .. new byte[8],
                .. new byte[40],
            ],
        ];

    private static long Largest(IEnumerable<string> names, Func<string, Tensor> read)
    {
        var largest = 0L;
        foreach (var name in names)
        {
            using var tensor = read(name);
            largest = Math.Max(largest, tensor.NumberOfElements * tensor.ElementSize);
        }

        return largest;
    }

    /// <summary>Small files as they are; of recordings, which are longer, the beginning.</summary>
    private static List<byte[]> Files(string folder, string pattern) =>
        [
            .. Directory
                .GetFiles(Path.Combine(Fixtures, folder), pattern, SearchOption.AllDirectories)
                .Order(StringComparer.Ordinal)
                .Select(File.ReadAllBytes)
                .Where(bytes => bytes.Length <= LargestSample || folder == "audio")
                .Select(bytes => bytes[..Math.Min(bytes.Length, LargestSample)]),
        ];

    private static IEnumerable<byte[]> PickleOf(byte[] archive)
    {
        ZipArchive zip;
        try
        {
            zip = new ZipArchive(new MemoryStream(archive));
        }
        catch (InvalidDataException)
        {
            yield break; // one of the files that are no archives
        }

        using (zip)
        {
            if (zip.Entries.FirstOrDefault(entry => entry.Name == "data.pkl") is { } entry)
            {
                using var pickle = new MemoryStream();
                using var stream = entry.Open();
                stream.CopyTo(pickle);
                yield return pickle.ToArray();
            }
        }
    }

    private static IEnumerable<byte[]> Written()
    {
        var path = Path.GetTempFileName();
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(
            path,
            [
                TensorToWrite.From("a.weight", arange(24, ScalarType.Float32).reshape(2, 3, 4)),
                TensorToWrite.From("half", ones(5, ScalarType.BFloat16)),
                TensorToWrite.From("scalar", tensor(7L)),
                TensorToWrite.From("empty", zeros(0, 3)),
                TensorToWrite.From("flags", ones(3, ScalarType.Bool)),
            ]
        );
        yield return File.ReadAllBytes(path);
        VoiceFile.Save(
            path,
            new Voice(new([1, 2], [3, 4, 5]), new([6, 7], [.. Enumerable.Repeat(0.5f, 320)], [8, 9])),
            new VoiceInfo("someone") { Language = "en", Consent = "by letter" }
        );
        yield return File.ReadAllBytes(path);
        File.Delete(path);
    }

    private static IEnumerable<byte[]> Recordings()
    {
        foreach (var encoding in Enum.GetValues<WavEncoding>())
        {
            using var stream = new MemoryStream();
            WavFile.Write(stream, [.. Enumerable.Range(0, 100).Select(i => MathF.Sin(i))], 16000, encoding);
            yield return stream.ToArray();
        }
    }
}
