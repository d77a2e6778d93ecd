using System.IO.Compression;
using System.Reflection;
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Voices;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace Fuzz;

/// <summary>A reader of files, and sound files that inputs are made of.</summary>
/// <param name="Name">What it reads.</param>
/// <param name="Samples">Sound files.</param>
/// <param name="Read">Reads all of a file; says how many bytes the largest thing had that it gave.</param>
public sealed record Reader(string Name, IReadOnlyList<byte[]> Samples, Func<string, long> Read);

/// <summary>The readers that are given files from outside.</summary>
public static class Readers
{
    private const int LargestSample = 20_000;

    private static readonly string Fixtures = typeof(Readers).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Fixtures").Value!;

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Reader> All { get; } =
    [
        new("safetensors", [.. Written(), .. Files("torch", "*.safetensors")], ReadSafetensors),
        new("torch", Files("torch", "*.pt"), ReadTorch),
        new("pickle", [.. Files("torch", "*.pt").SelectMany(PickleOf)], ReadPickle),
        new("wav", [.. Recordings(), .. Files("audio", "*.wav")], ReadWav),
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
            throw new CheckpointException(e.Message, e);   // as TorchFile does
        }
    }

    private static long ReadWav(string path) => WavFile.Read(path).Samples.Length * sizeof(float);

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
        .. Directory.GetFiles(Path.Combine(Fixtures, folder), pattern, SearchOption.AllDirectories).Order(StringComparer.Ordinal)
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
            yield break;   // one of the files that are no archives
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
        SafetensorsWriter.Write(path,
        [
            TensorToWrite.From("a.weight", arange(24, ScalarType.Float32).reshape(2, 3, 4)), TensorToWrite.From("half", ones(5, ScalarType.BFloat16)),
            TensorToWrite.From("scalar", tensor(7L)), TensorToWrite.From("empty", zeros(0, 3)), TensorToWrite.From("flags", ones(3, ScalarType.Bool)),
        ]);
        yield return File.ReadAllBytes(path);
        VoiceFile.Save(path, new Voice(new([1, 2], [3, 4, 5]), new([6, 7], [.. Enumerable.Repeat(0.5f, 320)], [8, 9])), new VoiceInfo("someone") { Language = "en", Consent = "by letter" });
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
