using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The encoder on a GPU: the plain operations as graphs, each for one number of tokens, in whole buckets, of which any
/// number counts. A twin of <see cref="S3GenModel.Encode"/> and <see cref="S3GenModel.Project"/>.</summary>
internal sealed class EncoderGraphs : IDisposable
{
    private const int Bucket = 64;
    private const int Longest = 768;         // tokens; scores by distance take 256 bytes a pair of tokens
    private const int MostGraphs = 12;

    private readonly ConformerConfig _config;
    private readonly Tensor _input;          // tokens given, tokens encoded, ids: int64
    private readonly TorchGraphs<int> _graphs;

    /// <param name="config">The encoder's sizes.</param>
    /// <param name="device">A GPU that <see cref="TorchGraph.WhyNot"/> has nothing against.</param>
    /// <param name="encode">From ids [1, tokens] to mu [1, frames, bands], by the plain operations.</param>
    public EncoderGraphs(ConformerConfig config, Device device, Func<Tensor, LiveTokens, Tensor> encode)
    {
        _config = config;
        _input = zeros([2 + Longest], ScalarType.Int64, device).DetachFromDisposeScope();
        _graphs = new(device, MostGraphs, tokens =>
        {
            using var scope = NewDisposeScope();
            var live = new LiveTokens(_input.narrow(0, 0, 1), _input.narrow(0, 1, 1));
            return encode(_input.narrow(0, 2, tokens).unsqueeze(0), live).MoveToOuterDisposeScope();
        });
    }

    /// <summary>True where so many tokens are not too many.</summary>
    public bool Holds(int tokens) => tokens <= Math.Min(Longest, _config.PositionTable / _config.Upsampling);

    /// <param name="speechTokens">Tokens, as many as it holds.</param>
    /// <param name="complete">False where more are to come.</param>
    /// <returns>Mu, [1, frames, bands].</returns>
    public Tensor Forward(IReadOnlyList<int> speechTokens, bool complete)
    {
        using var scope = NewDisposeScope();
        var encoded = speechTokens.Count - (complete ? 0 : _config.Lookahead);
        long[] input = [speechTokens.Count, encoded, .. speechTokens];
        var mu = _graphs.Run(
            (speechTokens.Count + Bucket - 1) / Bucket * Bucket, () => _input.narrow(0, 0, input.Length).copy_(tensor(input)));
        return mu.narrow(1, 0, encoded * _config.Upsampling).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _graphs.Dispose();
        _input.Dispose();
    }
}
