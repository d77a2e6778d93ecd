using Chatterbox.Ops;
using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Tests.Models;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Streaming;

/// <summary>The parts of a tiny model, for tests that give the speech tokens themselves.</summary>
internal sealed class TinyVocalist : IDisposable
{
    private readonly List<WeightStore> _stores = [];
    private readonly IDisposable _mode = inference_mode();

    public TinyVocalist(string model)
    {
        var checkpoint = Checkpoint.Open(TinyCheckpoint.FolderOf(model), variant: null, watermarkFile: null);
        Config = checkpoint.Config;
        Voice = checkpoint.ReadVoice()!;
        T3 = new(Config.T3, Keep(checkpoint.OpenT3(CPU, ScalarType.Float32)), TorchOps.Plain);
        Vocalist = new(Config, Keep(checkpoint.OpenS3Gen(CPU)), TorchOps.Plain);
        Watermarker = new(Config.Watermark, Keep(checkpoint.OpenWatermark(CPU)));
    }

    public ChatterboxConfig Config { get; }

    public Voice Voice { get; }

    public T3Model T3 { get; }

    public Vocalist Vocalist { get; }

    public PerthWatermarker Watermarker { get; }

    public ChunkAssembler Open(long seed, int leftContext) => new(Config, Vocalist, Watermarker, Voice.S3Gen, seed, leftContext);

    /// <summary>Speech tokens as if of some text.</summary>
    public int[] Tokens(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(Config.S3Gen.SpeechTokens))];
    }

    public void Dispose()
    {
        _stores.ForEach(store => store.Dispose());
        _mode.Dispose();
    }

    private WeightScope Keep(WeightStore store)
    {
        _stores.Add(store);
        return store.Root;
    }
}
