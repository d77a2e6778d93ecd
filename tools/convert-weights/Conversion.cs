using System.Diagnostics;
using System.Reflection;
using System.Text;
using Chatterbox;
using Chatterbox.Models;
using Chatterbox.Voices;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary>Writes a checkpoint's files anew, one tensor of each in memory at a time.</summary>
/// <remarks>
/// Weight norm stays as the files have it, g and v: the loader folds it in float32 when it reads them, in milliseconds.
/// Folded weights would have other names, and so need a second way to load, for a file smaller by some kilobytes.
/// </remarks>
/// <param name="output">Folder to write.</param>
/// <param name="keepAll">Keeps tensors that inference does not read.</param>
/// <param name="types">Element type of each part's floating-point numbers; null leaves them as stored.</param>
internal sealed class Conversion(string output, bool keepAll, IReadOnlyDictionary<Part, ScalarType?> types)
{
    private const int HeaderWithHash = 1 << 16;    // metadata come first in a header

    private static readonly string HashToCome = new('-', 64);
    private static readonly string Version = typeof(Conversion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<ConvertedFile> _files = [];
    private readonly List<string> _notes = [];

    /// <summary>Converts a whole model.</summary>
    /// <param name="folders">The folder, and the one that it overlays.</param>
    /// <param name="progress">Told the part of the bytes that is written.</param>
    /// <param name="cancel">Looked at before each tensor.</param>
    /// <exception cref="CheckpointException">Files are missing or do not fit each other, or the folder cannot be written.</exception>
    public async Task<Converted> FolderAsync(IReadOnlyList<string> folders, IProgress<double> progress, CancellationToken cancel)
    {
        if (folders.Any(folder => Path.TrimEndingDirectorySeparator(folder) == Path.TrimEndingDirectorySeparator(output)))
        {
            throw new CheckpointException($"{output} is the folder that is to be converted. Choose another folder with --out.");
        }

        var checkpoint = CheckpointFolder.Open(folders);
        var variant = checkpoint.Variant;
        var parts = Enum.GetValues<Part>().ToDictionary(part => part, part => checkpoint.PathOf(part) ?? (part == Part.Watermark ? CheckpointFolder.DownloadedWatermark() : null));
        var tokenizer = checkpoint.PathOf(variant.Config.Files.Tokenizer[0]);
        var missing = parts.Where(part => part.Value is null && part.Key != Part.Watermark).Select(part => string.Join(" or ", variant.Names[part.Key]))
            .Concat(tokenizer is null ? [variant.Config.Files.Tokenizer[0]] : []).ToList();
        if (missing.Count > 0)
        {
            throw new CheckpointException($"{string.Join(" and ", folders)} lack{(folders.Count == 1 ? "s" : "")} {string.Join(", ", missing)} of the {variant.Config.Name} model. "
                + "Give the folder of the whole model; of a language pack, name the multilingual model's folder with --base.");
        }

        CreateOutput();
        var meter = new Meter(progress, parts.Values.OfType<string>().Sum(path => new FileInfo(path).Length));
        if (parts[Part.Watermark] is null)
        {
            _notes.Add("PerTh's weights are neither in the folder nor downloaded, and nothing is spoken without a watermark. Get them: convert-weights download perth, then convert their file into this folder.");
        }

        // All at once: a core can hash one file alone, and that takes longer than converting it.
        _files.AddRange(await Task.WhenAll(parts.Where(part => part.Value is not null).Select(part =>
            Task.Run(() => PartAsync(variant, part.Key, part.Value!, NameOf(part.Key, part.Value!, variant), meter, cancel), cancel))));
        CopyOthers(checkpoint);
        ConvertVoice(checkpoint);
        SaveConfig(variant, NameOf(Part.T3, parts[Part.T3]!, variant));
        return new Converted(variant.Config.Name, _clock.Elapsed.TotalSeconds, _files, _notes);
    }

    /// <summary>Converts a single file, of a part that its tensors tell, or of anything: then all of it is kept.</summary>
    /// <inheritdoc cref="FolderAsync" path="/exception"/>
    public async Task<Converted> FileAsync(string path, IProgress<double> progress, CancellationToken cancel)
    {
        using var source = TensorFile.Open(path);
        CreateOutput();
        var meter = new Meter(progress, new FileInfo(path).Length);
        var part = Variant.PartOf(source);
        var variant = part == Part.T3 ? Variant.OfT3(source) : Variant.Published.FirstOrDefault(v => part is { } p && v.FaultsOf(p, source, out _) is null);
        if (part is { } known && variant is not null)
        {
            _files.Add(await PartAsync(variant, known, path, NameOf(known, path, variant), meter, cancel));
        }
        else
        {
            _notes.Add("The tensors are of no model that is known: all of them are kept, under their names.");
            var asked = types.Values.OfType<ScalarType>().Distinct().ToList();
            var type = asked.Count <= 1 ? asked.Cast<ScalarType?>().FirstOrDefault() : throw new CheckpointException($"{path} is of no model that is known, so that one element type is needed for all of it. Give one of --t3, --s3gen, --ve and --perth.");
            var name = Path.GetFileName(path).Split('.')[0] + ".safetensors";
            _files.Add(await WriteAsync(source, source.Tensors.Keys, name, path, type, Describe(path, null, null), meter, cancel));
        }

        return new Converted(null, _clock.Elapsed.TotalSeconds, _files, _notes);
    }

    private async Task<ConvertedFile> PartAsync(Variant variant, Part part, string path, string name, Meter meter, CancellationToken cancel)
    {
        using var source = TensorFile.Open(path);
        if (variant.FaultsOf(part, source, out var read) is { } faults)
        {
            throw new CheckpointException($"{path} cannot be converted. {faults}");
        }

        var kept = source.Tensors.Keys.Where(tensor => keepAll || read.Contains(tensor)).ToList();
        return await WriteAsync(source, kept, name, path, types[part], Describe(path, variant, part), meter, cancel);
    }

    private async Task<ConvertedFile> WriteAsync(
        ITensorSource source, IEnumerable<string> names, string name, string path, ScalarType? type, Dictionary<string, string> metadata, Meter meter, CancellationToken cancel)
    {
        var hash = ContentHash.Sha256Async(path, cancel);
        var tensors = names.Order(StringComparer.Ordinal).Select(tensor => ToWrite(source, tensor, type, meter, cancel)).ToList();
        var target = Path.Combine(output, name);
        await Task.Run(() => SafetensorsWriter.Write(target, tensors, metadata), cancel);
        await FillInHashAsync(target, hash);
        var kinds = tensors.Select(tensor => tensor.Info.DType).Where(IsFloatingPoint).Distinct().Select(DTypeNames.NameOf);
        return new ConvertedFile(name, path, string.Join(", ", kinds), tensors.Count, source.Tensors.Count - tensors.Count, new FileInfo(target).Length);
    }

    private static TensorToWrite ToWrite(ITensorSource source, string name, ScalarType? type, Meter meter, CancellationToken cancel)
    {
        var info = source.Tensors[name];
        var wanted = type is { } t && IsFloatingPoint(info.DType) ? t : info.DType;
        return new TensorToWrite(name, info with { DType = wanted }, stream =>
        {
            cancel.ThrowIfCancellationRequested();
            using var stored = source.Read(name);
            using var narrow = wanted == info.DType ? stored.alias() : Narrow(source, name, stored, wanted);
            stream.Write(narrow.bytes);
            meter.Advance(DTypeNames.BytesOf(info));
        });
    }

    private static Tensor Narrow(ITensorSource source, string name, Tensor stored, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var narrow = stored.to(type);
        return narrow.isfinite().all().item<bool>() || !stored.isfinite().all().item<bool>()
            ? narrow.DetachFromDisposeScope()
            : throw new CheckpointException($"{source.Name}: '{name}' has values up to {stored.abs().max().to(ScalarType.Float64).item<double>():G4}, which {DTypeNames.NameOf(type)} cannot hold. Keep this part in f32, or choose bf16.");
    }

    private static bool IsFloatingPoint(ScalarType type) => type is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    private static Dictionary<string, string> Describe(string path, Variant? variant, Part? part)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = "pt",   // asked for by Python's transformers
            ["source"] = Path.GetFileName(path),
            ["source_sha256"] = HashToCome,
            ["converted_by"] = $"convert-weights {Version}",
        };
        if (variant is not null)
        {
            metadata["model"] = variant.Config.Name;
            metadata["part"] = $"{part}";
        }

        return metadata;
    }

    /// <summary>Writes the hash of the source over its place in the header: hashing takes longer than converting, and
    /// goes on beside it.</summary>
    private static async Task FillInHashAsync(string path, Task<string> hash)
    {
        var text = await hash;
        await using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        var header = new byte[Math.Min(file.Length, HeaderWithHash)];
        await file.ReadExactlyAsync(header);
        file.Position = header.AsSpan().IndexOf(Encoding.ASCII.GetBytes(HashToCome));
        await file.WriteAsync(Encoding.ASCII.GetBytes(text));
        file.Flush(flushToDisk: true);
    }

    /// <summary>T3 keeps its name, which tells V2, V3 and the language packs apart; the others get the model's own.</summary>
    private static string NameOf(Part part, string path, Variant variant) => part switch
    {
        Part.T3 => Path.ChangeExtension(Path.GetFileName(path), ".safetensors"),
        Part.S3Gen => variant.Config.Files.S3Gen[0],
        Part.SpeakerEncoder => variant.Config.Files.SpeakerEncoder[0],
        _ => variant.Config.Files.Watermark[0],
    };

    private void CopyOthers(CheckpointFolder checkpoint)
    {
        foreach (var name in checkpoint.Variant.OtherFiles.Prepend(checkpoint.Variant.Config.Files.Tokenizer[0]))
        {
            if (checkpoint.PathOf(name) is { } path)
            {
                var target = Path.Combine(output, name);
                File.Copy(path, target, overwrite: true);
                _files.Add(new(name, path, null, 0, 0, new FileInfo(target).Length));
            }
            else
            {
                _notes.Add($"{name} is missing: it goes with this model.");
            }
        }
    }

    private void ConvertVoice(CheckpointFolder checkpoint)
    {
        if (checkpoint.VoicePath is { } path)
        {
            var config = checkpoint.Variant.Config;
            var (voice, info) = VoiceFiles.Read(path, config);
            var target = Path.Combine(output, config.Files.Voice[0]);
            VoiceFile.Save(target, voice, info with { Model = info.Model ?? config.Name, SourceHash = info.SourceHash ?? ContentHash.Sha256(path) });
            _files.Add(new(config.Files.Voice[0], path, null, 0, 0, new FileInfo(target).Length));
        }
    }

    /// <summary>Says what the folder holds, unless it is the published English model, which every loader knows.</summary>
    private void SaveConfig(Variant variant, string t3)
    {
        if (variant.Config.Name != ChatterboxConfig.English.Name)
        {
            var config = variant.Config with { Files = variant.Config.Files with { T3 = [t3] } };
            config.Save(Path.Combine(output, ChatterboxConfig.FileName));
        }
    }

    private void CreateOutput()
    {
        try
        {
            Directory.CreateDirectory(output);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{output} cannot be made: {e.Message} Choose a folder that may be written to.", e);
        }
    }

    private sealed class Meter(IProgress<double> progress, long total)
    {
        private long _done;

        public void Advance(long bytes) => progress.Report(Math.Min(1, (double)Interlocked.Add(ref _done, bytes) / Math.Max(1, total)));
    }
}

/// <summary>What a conversion has made.</summary>
/// <param name="Model">The model; null for a single file.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Files">Each file.</param>
/// <param name="Notes">What is to be known of the result.</param>
internal sealed record Converted(string? Model, double Seconds, IReadOnlyList<ConvertedFile> Files, IReadOnlyList<string> Notes);

/// <param name="File">Its name in the output folder.</param>
/// <param name="From">What it was made of.</param>
/// <param name="DType">Element types of its floating-point numbers.</param>
/// <param name="Tensors">Tensors in it.</param>
/// <param name="Dropped">Tensors left out.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record ConvertedFile(string File, string From, string? DType, int Tensors, int Dropped, long Bytes);
