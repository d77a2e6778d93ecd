using Chatterbox.Ops;
using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Weights;
using Chatterbox.Voices;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Streaming;

/// <summary>The parts of a tiny model, for tests that give the speech tokens themselves.</summary>
internal sealed class TinySpeechDecoder : IDisposable
{
    private readonly List<WeightStore> _stores = [];
    private readonly IDisposable _mode = inference_mode();
    private readonly Dictionary<string, Func<Tensor, Tensor>> _changes;
    private readonly S3GenNetworks _s3gen;

    /// <param name="model">Name of a tiny model.</param>
    /// <param name="changes">Tensors that are to be others than the model's, by name.</param>
    public TinySpeechDecoder(string model, Dictionary<string, Func<Tensor, Tensor>>? changes = null)
    {
        _changes = changes ?? [];
        var checkpoint = Checkpoint.Open(TinyCheckpoint.FolderOf(model), variant: null, watermarkFile: null);
        Config = checkpoint.Config;
        Voice = checkpoint.ReadVoice()!;
        T3Weights = Open(checkpoint.T3Path);
        T3 = new(Config.T3, T3Weights, TorchOps.Plain);
        Decoder = T3.CreateDecoder();
        _s3gen = new(Config, Open(checkpoint.S3GenPath), TorchOps.Plain);
        SpeechDecoder = new(Config, _s3gen);
        Watermarker = new(Config.Watermark, Open(checkpoint.WatermarkPath));
    }

    public ChatterboxConfig Config { get; }

    public Voice Voice { get; }

    public T3Model T3 { get; }

    public IT3Decoder Decoder { get; }

    public WeightScope T3Weights { get; }

    public SpeechTokenizer SpeechTokenizer => _s3gen.Reference.SpeechTokenizer;

    public SpeechDecoder SpeechDecoder { get; }

    public PerthWatermarker Watermarker { get; }

    /// <summary>Speech in chunks, the first of which is made with half of the prompt.</summary>
    public ChunkAssembler Speak(long seed, int leftContext) =>
        new(
            Config,
            SpeechDecoder,
            Watermarker,
            Voice.S3Gen,
            seed,
            new() { LeftContext = leftContext, FirstPrompt = Voice.S3Gen.SpeechTokens.Count / 2 }
        );

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

    private WeightScope Open(string file)
    {
        _stores.Add(new WeightStore(new ChangedTensors(Checkpoint.OpenFile(file), _changes)));
        return _stores[^1].Root;
    }
}
