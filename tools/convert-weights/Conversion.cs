using System.Diagnostics;
using System.Reflection;
using Chatterbox;
using Chatterbox.Models;
using Chatterbox.Voices;
using Chatterbox.Weights;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary>Writes a checkpoint's files anew, all at once, a piece of each in memory at a time.</summary>
/// <param name="output">Folder to write.</param>
/// <param name="keepAll">Keeps tensors that inference does not read, and weight norms as they are.</param>
/// <param name="types">Element type of each part's floating-point numbers; null leaves them as stored.</param>
internal sealed class Conversion(string output, bool keepAll, IReadOnlyDictionary<Part, ScalarType?> types)
{
    private const string SourceHash = "source_sha256";

    private static readonly string[] ForPython = ["special_tokens_map.json", "tokenizer_config.json"]; // its package asks for them
    private static readonly string HashToCome = new('-', 64);
    private static readonly string Version = typeof(Conversion)
        .Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
        .InformationalVersion.Split('+')[0];

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<ConvertedFile> _files = [];
    private readonly List<string> _notes = [];

    /// <summary>Converts a whole model.</summary>
    /// <param name="folders">The folder, and the one that it overlays.</param>
    /// <param name="progress">Receives the part of the bytes that is written.</param>
    /// <param name="cancellationToken">Looked at before each piece.</param>
    /// <exception cref="CheckpointException">Files are missing or do not fit each other, or the folder cannot be written.</exception>
    public async Task<Converted> FolderAsync(IReadOnlyList<string> folders, IProgress<double> progress, CancellationToken cancellationToken)
    {
        if (folders.Any(folder => Path.TrimEndingDirectorySeparator(folder) == Path.TrimEndingDirectorySeparator(output)))
        {
            throw new CheckpointException($"{output} is the folder that is to be converted. Choose another folder with --out.");
        }

        var checkpoint = CheckpointFolder.Open(folders);
        var variant = checkpoint.Variant;
        var opened = new List<ITensorSource>();
        try
        {
            var jobs = Open(variant, PathsOf(checkpoint), opened);
            CreateOutput();
            await WriteAsync(jobs, progress, cancellationToken);
            SaveConfig(variant, jobs.Single(job => job.Part == Part.T3).Name);
        }
        finally
        {
            opened.ForEach(source => source.Dispose());
        }

        CopyOthers(checkpoint);
        ConvertVoice(checkpoint);
        return new Converted(variant.Config.Name, _clock.Elapsed.TotalSeconds, _files, _notes);
    }

    /// <summary>Converts a single file, of a part that its tensors tell, or of anything: then all of it is kept.</summary>
    /// <inheritdoc cref="FolderAsync" path="/exception"/>
    public async Task<Converted> FileAsync(string path, IProgress<double> progress, CancellationToken cancellationToken)
    {
        using var source = TensorFile.Open(path);
        var part = Variant.PartOf(source);
        var variant =
            part == Part.T3
                ? Variant.OfT3(source)
                : Variant.Published.FirstOrDefault(v => part is { } p && v.FaultsOf(p, source, out _) is null);
        var job =
            part is { } known && variant is not null
                ? PartJob(variant, known, path, source)
                : new Job(Path.GetFileName(path).Split('.')[0] + ".safetensors", path, source, OnlyType(path), [.. source.Tensors.Keys]);
        if (Path.Combine(output, job.Name) == path)
        {
            throw new CheckpointException($"{path} would be replaced by what it is converted to. Choose another folder with --out.");
        }

        CreateOutput();
        await WriteAsync([job], progress, cancellationToken);
        return new Converted(null, _clock.Elapsed.TotalSeconds, _files, _notes);
    }

    private Dictionary<Part, string> PathsOf(CheckpointFolder checkpoint)
    {
        var variant = checkpoint.Variant;
        var paths = new Dictionary<Part, string>();
        var missing = new List<string>();
        foreach (var part in Enum.GetValues<Part>().OrderDescending())
        {
            if ((checkpoint.PathOf(part) ?? (part == Part.Watermark ? CheckpointFolder.DownloadedWatermark() : null)) is { } path)
            {
                paths[part] = path;
            }
            else if (part == Part.Watermark)
            {
                _notes.Add(
                    "PerTh's weights are neither in the folder nor downloaded, and no model speaks without a watermark. Run "
                        + "convert-weights download perth, then convert their file into this folder."
                );
            }
            else
            {
                missing.Add(string.Join(" or ", variant.Names[part]));
            }
        }

        missing.AddRange(variant.Config.Files.Tokenizer.Where(file => checkpoint.PathOf(file) is null));
        return missing.Count == 0
            ? paths
            : throw new CheckpointException(
                $"{string.Join(" and ", checkpoint.Folders)} lack{(checkpoint.Folders.Count == 1 ? "s" : "")} "
                    + $"{string.Join(", ", missing)} of the {variant.Config.Name} model. "
                    + "Give the folder of the whole model; of a language pack, name the multilingual model's folder with --base."
            );
    }

    /// <summary>Opens all files and looks what is wrong with them before the first is written.</summary>
    private List<Job> Open(Variant variant, Dictionary<Part, string> paths, List<ITensorSource> opened)
    {
        var (jobs, faults) = (new List<Job>(), new List<string>());
        foreach (var (part, path) in paths)
        {
            try
            {
                opened.Add(TensorFile.Open(path));
                jobs.Add(PartJob(variant, part, path, opened[^1]));
            }
            catch (CheckpointException e)
            {
                faults.Add(e.Message);
            }
        }

        return faults.Count == 0 ? jobs : throw new CheckpointException(string.Join("\n", faults));
    }

    private Job PartJob(Variant variant, Part part, string path, ITensorSource source)
    {
        if (variant.FaultsOf(part, source, out var read) is { } faults)
        {
            throw new CheckpointException($"{path} cannot be converted. {faults}");
        }

        var kept = source.Tensors.Keys.Where(tensor => keepAll || read.Contains(tensor)).ToList();
        return new Job(NameOf(part, path, variant), path, source, types[part], kept) { Variant = variant, Part = part };
    }

    private ScalarType? OnlyType(string path)
    {
        _notes.Add("The tensors are of no known model: all of them are kept, with their names.");
        var asked = types.Values.OfType<ScalarType>().Distinct().ToList();
        return asked.Count <= 1
            ? asked.Cast<ScalarType?>().FirstOrDefault()
            : throw new CheckpointException(
                $"{path} is of no known model, so one element type is needed for all of it. Give one of --t3, --s3gen, --ve and --perth."
            );
    }

    /// <summary>Writes all files at the same time; the first that fails stops the others.</summary>
    private async Task WriteAsync(IReadOnlyList<Job> jobs, IProgress<double> progress, CancellationToken cancellationToken)
    {
        var meter = new Meter(progress, jobs.Sum(job => new FileInfo(job.Path).Length));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _files.AddRange(
            await Task.WhenAll(
                jobs.Select(job =>
                    Task.Run(
                        () =>
                        {
                            try
                            {
                                return Write(job, meter, stop.Token);
                            }
                            catch
                            {
                                stop.Cancel();
                                throw;
                            }
                        },
                        stop.Token
                    )
                )
            )
        );
    }

    /// <summary>Writes a file while another thread hashes what it is made of, which takes as long.</summary>
    private ConvertedFile Write(Job job, Meter meter, CancellationToken cancellationToken)
    {
        var hash = Task.Factory.StartNew(
            () => ContentHash.Sha256(job.Path, cancellationToken),
            cancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default
        );
        var tensors = new TensorConversion(job.Source, job.Type, folds: job.Part is not null && !keepAll, meter.Advance, cancellationToken)
            .Of(job.Tensors)
            .ToList();
        var metadata = Describe(job);
        var target = Path.Combine(output, job.Name);
        SafetensorsWriter.Write(
            target,
            tensors,
            metadata,
            () => new Dictionary<string, string>(metadata) { [SourceHash] = hash.GetAwaiter().GetResult() }
        );
        var kinds = tensors.Select(tensor => tensor.Info.DType).Where(FloatConversion.Knows).Distinct().Select(DTypeNames.NameOf);
        return new ConvertedFile(
            job.Name,
            job.Path,
            string.Join(", ", kinds),
            tensors.Count,
            job.Source.Tensors.Count - job.Tensors.Count,
            job.Tensors.Count - tensors.Count,
            new FileInfo(target).Length
        );
    }

    private static Dictionary<string, string> Describe(Job job)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = "pt", // asked for by Python's transformers
            ["source"] = Path.GetFileName(job.Path),
            [SourceHash] = HashToCome,
            ["converted_by"] = $"convert-weights {Version}",
        };
        if (job.Variant is { } variant)
        {
            metadata["model"] = variant.Config.Name;
            metadata["part"] = $"{job.Part}";
        }

        return metadata;
    }

    /// <summary>T3 keeps its name, which tells V2, V3 and the language packs apart; the others get the model's own.</summary>
    private static string NameOf(Part part, string path, Variant variant) =>
        part switch
        {
            Part.T3 => Path.ChangeExtension(Path.GetFileName(path), ".safetensors"),
            Part.S3Gen => variant.Config.Files.S3Gen[0],
            Part.SpeakerEncoder => variant.Config.Files.SpeakerEncoder[0],
            _ => variant.Config.Files.Watermark[0],
        };

    private void CopyOthers(CheckpointFolder checkpoint)
    {
        var names = checkpoint.Variant.Config.Files.Tokenizer.Concat(ForPython).Select(checkpoint.PathOf);
        foreach (var path in names.Append(checkpoint.CangjiePath).OfType<string>())
        {
            var name = Path.GetFileName(path);
            var target = Path.Combine(output, name);
            File.Copy(path, target, overwrite: true);
            _files.Add(new(name, path, null, 0, 0, 0, new FileInfo(target).Length));
        }

        if (checkpoint.Lacks is { } note)
        {
            _notes.Add(note);
        }
    }

    private void ConvertVoice(CheckpointFolder checkpoint)
    {
        if (checkpoint.VoicePath is { } path)
        {
            var config = checkpoint.Variant.Config;
            var (voice, info) = VoiceFiles.Read(path, config);
            var target = Path.Combine(output, config.Files.Voice[0]);
            VoiceFile.Save(
                target,
                voice,
                info with
                {
                    Model = info.Model ?? config.Name,
                    SourceHash = info.SourceHash ?? ContentHash.Sha256(path),
                }
            );
            _files.Add(new(config.Files.Voice[0], path, null, 0, 0, 0, new FileInfo(target).Length));
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
            throw new CheckpointException($"{output} cannot be created: {e.Message} Choose a folder that can be written to.", e);
        }
    }

    /// <summary>A file that is to be written.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Path">What it is made of.</param>
    /// <param name="Source">The same, open.</param>
    /// <param name="Type">Element type of its floating-point numbers; null leaves them as stored.</param>
    /// <param name="Tensors">What is kept.</param>
    private sealed record Job(string Name, string Path, ITensorSource Source, ScalarType? Type, IReadOnlyList<string> Tensors)
    {
        public Variant? Variant { get; init; }

        public Part? Part { get; init; }
    }

    private sealed class Meter(IProgress<double> progress, long total)
    {
        private readonly Lock _lock = new();
        private long _done;

        public void Advance(long bytes)
        {
            lock (_lock)
            {
                _done += bytes;
                progress.Report(Math.Min(1, (double)_done / Math.Max(1, total)));
            }
        }
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
/// <param name="Folded">Weight norms written as weights.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record ConvertedFile(string File, string From, string? DType, int Tensors, int Dropped, int Folded, long Bytes);
