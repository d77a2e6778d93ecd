using System.Reflection;
using Chatterbox.T3;
using Chatterbox.Voices;
using Chatterbox.Watermark;

namespace Chatterbox.Models;

/// <summary>Writes whole checkpoint folders whose weights follow from their names: nothing has been learned, so they speak
/// noise, but every part of a model is there and works.</summary>
public static class SyntheticCheckpoint
{
    /// <summary>Grows when the same name stands for other weights.</summary>
    internal const int Version = 3;

    private const string Resources = "Chatterbox.Models.Assets.";
    private const int VoiceTokens = 50; // a prompt of 2 s

    private static readonly IReadOnlyList<ChatterboxConfig> FullSize =
    [
        ChatterboxConfig.English,
        ChatterboxConfig.Multilingual,
        ChatterboxConfig.Turbo,
        ChatterboxConfig.Nano,
        ChatterboxConfig.Flash,
    ];

    private static readonly IReadOnlyList<ChatterboxConfig> Tiny =
    [
        .. FullSize.Select(config => config.Shrink(config == ChatterboxConfig.English ? "tiny" : $"tiny-{config.Name}")),
    ];

    /// <summary>What can be written. In full size, which is up to 3.2 GB: <c>english</c>, <c>multilingual</c>, <c>turbo</c>, <c>nano</c>
    /// and <c>flash</c>. In a hundredth of it: <c>tiny</c>, which is English, <c>tiny-multilingual</c>, <c>tiny-turbo</c>, <c>tiny-nano</c>
    /// and
    /// <c>tiny-flash</c>.</summary>
    public static IReadOnlyList<string> Models { get; } = [.. FullSize.Concat(Tiny).Select(config => config.Name)];

    /// <summary>Writes a checkpoint.</summary>
    /// <param name="model">One of <see cref="Models"/>.</param>
    /// <param name="folder">Where to write; created if missing, and files in it replaced.</param>
    /// <param name="progress">Receives the written part of all weights.</param>
    /// <param name="cancellationToken">Checked before each tensor.</param>
    /// <exception cref="CheckpointException">The folder cannot be written.</exception>
    public static void Write(string model, string folder, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        if (!Models.Contains(model))
        {
            throw new ArgumentOutOfRangeException(
                nameof(model),
                model,
                $"There is no synthetic model of this name; there are {string.Join(" and ", Models)}."
            );
        }

        var isFullSize = FullSize.Any(config => config.Name == model);
        var config = FullSize.Concat(Tiny).Single(config => config.Name == model);
        var sources = SourcesOf(config, isFullSize);
        try
        {
            Directory.CreateDirectory(folder);
            foreach (var file in config.Files.Tokenizer.Concat(config.Files.Cangjie))
            {
                CopyAsset(file, folder);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{folder} cannot be written: {e.Message} Choose a folder that may be written to.", e);
        }

        if (!isFullSize)
        {
            config.Save(Path.Combine(folder, ChatterboxConfig.FileName));
        }

        VoiceFile.Save(Path.Combine(folder, config.Files.Voice[0]), MakeVoice(config), new VoiceInfo($"{model} (synthetic)"));
        var total = sources.Values.Sum(source => source.Tensors.Values.Sum(t => (double)t.Count));
        var written = 0.0;
        foreach (var (file, source) in sources)
        {
            SafetensorsWriter.Write(
                Path.Combine(folder, file),
                source.Tensors.Select(t => new TensorToWrite(
                    t.Key,
                    t.Value,
                    stream =>
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        using var tensor = source.Read(t.Key);
                        stream.Write(tensor.bytes);
                        progress?.Report((written += t.Value.Count) / total);
                    }
                ))
            );
            source.Dispose();
        }
    }

    /// <summary>A synthetic voice.</summary>
    internal static Voice MakeVoice(ChatterboxConfig config)
    {
        var speaker = Numbers("voice.speaker_embedding", config.T3.SpeakerSize, 0, 1);
        var length = MathF.Sqrt(speaker.Sum(x => x * x));
        var frames = VoiceTokens * config.S3Gen.Encoder.Upsampling;
        return new Voice(
            new T3Prompt([.. speaker.Select(x => x / length)], Tokens("voice.t3_tokens", config)),
            new S3GenPrompt(
                Tokens("voice.s3gen_tokens", config),
                Numbers("voice.mel", frames * config.S3Gen.MelBands, -6, 3),
                Numbers("voice.x_vector", config.S3Gen.XVectorSize, 0, 1)
            )
        );
    }

    /// <summary>Writes a file that this library carries; of alternatives it carries one.</summary>
    private static void CopyAsset(string file, string folder)
    {
        using var asset = Assembly.GetExecutingAssembly().GetManifestResourceStream(Resources + file);
        if (asset is not null)
        {
            using var copy = File.Create(Path.Combine(folder, file));
            asset.CopyTo(copy);
        }
    }

    private static Dictionary<string, ITensorSource> SourcesOf(ChatterboxConfig config, bool isFullSize)
    {
        // A network that finds nothing has asked for everything that it needs.
        using var mode = inference_mode();
        var ops = TorchOps.Plain;
        (string File, string Manifest, Action<WeightScope> Build)[] files =
        [
            (config.Files.SpeakerEncoder[0], "ve", root => _ = new SpeakerEncoder(config.Voices.SpeakerEncoder, root)),
            (config.Files.S3Gen[0], S3GenOf(config), root => _ = new S3GenNetworks(config, root, ops)),
            (config.Files.Watermark[0], "perth_net", root => _ = new PerthWatermarker(config.Watermark, root)),
            (config.Files.T3[0], Path.GetFileNameWithoutExtension(config.Files.T3[0]), root => _ = new T3Model(config.T3, root, ops)),
        ];
        return files.ToDictionary(
            f => f.File,
            f =>
            {
                var full = SyntheticTensors.FullSize(f.Manifest);
                return isFullSize ? full : (ITensorSource)new TinyTensors(full, AskedBy(f.Build), SyntheticStopToken.Of(config.T3));
            }
        );
    }

    /// <summary>Which synthetic S3Gen a variant has; its file may go by another's name.</summary>
    internal static string S3GenOf(ChatterboxConfig config) => config.S3Gen.Flow.IsMeanFlow ? "s3gen_meanflow" : "s3gen";

    private static IReadOnlyDictionary<string, long[]> AskedBy(Action<WeightScope> build)
    {
        using var scope = NewDisposeScope();
        using var store = new WeightStore(new SyntheticTensors("nothing", new Dictionary<string, SyntheticTensor>()));
        build(store.Root);
        return store.Asked;
    }

    private static int[] Tokens(string name, ChatterboxConfig config)
    {
        var half = config.S3Gen.SpeechTokens / 2f;
        return [.. Numbers(name, VoiceTokens, half, half).Select(x => (int)x)];
    }

    private static float[] Numbers(string name, int count, float offset, float scale)
    {
        using var source = new SyntheticTensors(
            name,
            new Dictionary<string, SyntheticTensor> { [name] = new(new(ScalarType.Float32, [count]), offset, scale) }
        );
        using var values = source.Read(name);
        return values.data<float>().ToArray();
    }
}
