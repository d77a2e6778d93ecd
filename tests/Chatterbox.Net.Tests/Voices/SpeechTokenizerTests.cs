using Chatterbox.Ops;
using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

public sealed class SpeechTokenizerTests : IDisposable
{
    private const int Hidden = 8;

    private static readonly SpeechTokenizerConfig Small = new(
        HiddenSize: Hidden,
        Heads: 2,
        Layers: 1,
        MemoryFrames: 3,
        WindowFrames: 80,
        OverlapFrames: 16
    )
    {
        Mel = new(16000, 400, 160, 12, 8000),
    };

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory]
    [InlineData(201, 1)]
    [InlineData(640, 1)]
    [InlineData(800, 2)]
    [InlineData(6400, 10)]
    [InlineData(6400 + 159, 10)]
    [InlineData(6400 + 160, 11)]
    public void There_is_a_token_for_each_four_frames_begun(int samples, int tokens)
    {
        using var store = SmallWeights();
        var tokenizer = new SpeechTokenizer(Small, store.Root, TorchOps.Plain);
        Assert.Equal([tokens], tokenizer.Forward(Noise(samples)).shape);
        Assert.True(tokenizer.Forward(Noise(samples)).max().item<long>() < 6561);
    }

    [Fact]
    public void Frames_behind_the_most_tokens_are_not_heard()
    {
        using var store = SmallWeights();
        var tokenizer = new SpeechTokenizer(Small, store.Root, TorchOps.Plain);
        var samples = Noise(6400);
        var mel = new Chatterbox.Audio.WhisperMel(Small.Mel, store.Root).Forward(samples);
        Assert.Equal(Tokens(tokenizer.Tokenize(mel[.., ..12])), Tokens(tokenizer.Forward(samples, 3)));
        Assert.Equal(Tokens(tokenizer.Forward(samples)), Tokens(tokenizer.Forward(samples, 10)));
        Assert.Equal(Tokens(tokenizer.Forward(samples)), Tokens(tokenizer.Forward(samples, 375)));
    }

    [Fact]
    public void Recordings_too_short_to_mirror_are_refused()
    {
        using var store = SmallWeights();
        var tokenizer = new SpeechTokenizer(Small, store.Root, TorchOps.Plain);
        Assert.Contains(
            "200 samples",
            Assert.Throws<VoiceException>(() => tokenizer.Forward(Noise(200))).Message,
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData(80)]
    [InlineData(81)]
    [InlineData(144)] // the second window reaches the end
    [InlineData(145)]
    [InlineData(160)]
    [InlineData(208)]
    [InlineData(300)]
    public void Long_recordings_are_windows_merged_in_the_middle_of_their_overlap(int frames)
    {
        using var store = SmallWeights();
        var tokenizer = new SpeechTokenizer(Small, store.Root, TorchOps.Plain);
        var mel = randn(12, frames, generator: new Generator(3));
        var expected = new List<long>();
        for (var token = 0; token * 4 < frames; token++)
        {
            // Each token comes from the first window (of 20 tokens, 16 from the last) of which it is not among the last two.
            var window = 0;
            while (token >= (window * 16) + 18 && (window * 64) + 80 < frames)
            {
                window++;
            }

            var tokens = Tokens(tokenizer.Tokenize(mel[.., (window * 64)..Math.Min((window * 64) + 80, frames)]));
            expected.Add(tokens[token - (window * 16)]);
        }

        Assert.Equal(expected, Tokens(tokenizer.Tokenize(mel)));
    }

    [Fact]
    public void What_is_not_long_is_heard_as_a_whole()
    {
        using var store = SmallWeights();
        var windowed = new SpeechTokenizer(Small, store.Root, TorchOps.Plain);
        var whole = new SpeechTokenizer(Small with { WindowFrames = 3000, OverlapFrames = 400 }, store.Root, TorchOps.Plain);
        var mel = randn(12, 80, generator: new Generator(5));
        Assert.Equal(Tokens(whole.Tokenize(mel)), Tokens(windowed.Tokenize(mel)));
    }

    [Theory]
    [InlineData(0.4999, 1)]
    [InlineData(0.50048, 1)] // 0.50048 · 0.999 < 0.5
    [InlineData(0.50052, 2)]
    [InlineData(-0.50048, 1)]
    [InlineData(-0.50052, 0)]
    [InlineData(0.99999, 2)]
    [InlineData(-0.99999, 0)]
    public void Digits_change_where_the_exported_model_changes_them(double tanh, int digit)
    {
        using var store = new WeightStore(new GivenTensors(new() { ["project_down.weight"] = eye(2), ["project_down.bias"] = zeros(2) }));
        var quantizer = new FiniteScalarQuantizer(Small with { HiddenSize = 2, CodeDigits = 2 }, store.Root);
        var hidden = tensor(
            new[,]
            {
                { (float)Math.Atanh(tanh), 0 },
                { 0, (float)Math.Atanh(tanh) },
            }
        );
        Assert.Equal([digit + 3, 1 + (3 * digit)], Tokens(quantizer.Forward(hidden)));
    }

    [Fact]
    public void Norm_of_attention_adds_1e6th_to_the_variance_and_memory_adds_the_values()
    {
        var weights = BlockWeights();
        weights["attn.value.weight"] = eye(Hidden);
        weights["attn.fsmn_block.weight"] = full([Hidden, 1, 3], 0.25f);
        var x = Faint();
        var normed = nn.functional.layer_norm(x, [Hidden], eps: 1e-6);
        var memory = nn.functional.avg_pool1d(nn.functional.pad(normed.transpose(1, 2), (1, 1)), 3, 1).transpose(1, 2) * 0.75;
        AssertClose(x + normed + memory, Block(weights, x));
    }

    [Fact]
    public void Norm_of_the_mlp_adds_1e5th_to_the_variance_and_its_activation_is_the_exact_gelu()
    {
        var weights = BlockWeights();
        weights["mlp.0.weight"] = eye(4 * Hidden, Hidden);
        weights["mlp.2.weight"] = eye(Hidden, 4 * Hidden);
        var x = Faint();
        var normed = nn.functional.layer_norm(x, [Hidden], eps: 1e-5);
        AssertClose(x + (normed * 0.5 * (1 + erf(normed / Math.Sqrt(2)))), Block(weights, x));
    }

    private static Tensor Block(Dictionary<string, Tensor> weights, Tensor x)
    {
        using var store = new WeightStore(new GivenTensors(weights));
        var block = new SpeechTokenizerBlock(Small, store.Root, TorchOps.Plain);
        store.ThrowIfFaulty();
        return block.Forward(x, new TokenizerRotaryTable(Small.HeadDim, 20, store.Root));
    }

    private static Tensor Faint() => randn(1, 5, Hidden, generator: new Generator(1)) * 1e-3;

    private static void AssertClose(Tensor expected, Tensor actual) =>
        Assert.True(((expected - actual).norm() / expected.norm()).item<float>() < 1e-5);

    private static long[] Tokens(Tensor tokens) => tokens.data<long>().ToArray();

    private static Tensor Noise(int samples) => randn(samples, generator: new Generator(2)) * 0.1;

    private static Dictionary<string, Tensor> BlockWeights() =>
        new()
        {
            ["attn_ln.weight"] = ones(Hidden),
            ["attn_ln.bias"] = zeros(Hidden),
            ["attn.query.weight"] = zeros(Hidden, Hidden),
            ["attn.query.bias"] = zeros(Hidden),
            ["attn.key.weight"] = zeros(Hidden, Hidden),
            ["attn.value.weight"] = zeros(Hidden, Hidden),
            ["attn.value.bias"] = zeros(Hidden),
            ["attn.out.weight"] = zeros(Hidden, Hidden),
            ["attn.out.bias"] = zeros(Hidden),
            ["attn.fsmn_block.weight"] = zeros(Hidden, 1, 3),
            ["mlp_ln.weight"] = ones(Hidden),
            ["mlp_ln.bias"] = zeros(Hidden),
            ["mlp.0.weight"] = zeros(4 * Hidden, Hidden),
            ["mlp.0.bias"] = zeros(4 * Hidden),
            ["mlp.2.weight"] = zeros(Hidden, 4 * Hidden),
            ["mlp.2.bias"] = zeros(Hidden),
        };

    /// <summary>A small tokenizer with random weights, and the tables that some checkpoints carry.</summary>
    private static WeightStore SmallWeights()
    {
        var random = new Generator(7);
        var shapes = BlockWeights().ToDictionary(w => $"encoder.blocks.0.{w.Key}", w => w.Value.shape);
        shapes["encoder.conv1.weight"] = [Hidden, 12, 3];
        shapes["encoder.conv1.bias"] = [Hidden];
        shapes["encoder.conv2.weight"] = [Hidden, Hidden, 3];
        shapes["encoder.conv2.bias"] = [Hidden];
        shapes["quantizer._codebook.project_down.weight"] = [8, Hidden];
        shapes["quantizer._codebook.project_down.bias"] = [8];
        shapes["_mel_filters"] = [12, 201];
        shapes["window"] = [400];
        return new WeightStore(new GivenTensors(shapes.ToDictionary(s => s.Key, s => randn(s.Value, generator: random))));
    }
}
