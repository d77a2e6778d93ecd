using Chatterbox.Ops.Cuda;

namespace Chatterbox.S3Gen;

/// <summary>The encoder on a GPU, with operands in fp16: over whole buckets of tokens, of which any number counts, so that its
/// operations can be launched as graphs. A twin of <see cref="ConformerEncoder.Forward"/> over all tokens.</summary>
/// <remarks>Attention in fp16 reads its scores in pieces of 16 bytes: whole buckets are what makes that possible.</remarks>
internal sealed class EncoderGraphs : IDisposable
{
    private const int Bucket = 64;
    private const int Longest = 768; // tokens; of more than these the GPU has enough to do, and graphs would keep much memory
    private const int MostGraphs = 12;

    private readonly ConformerConfig _config;
    private readonly Func<Tensor, Tensor> _encode;
    private readonly Tensor _input;
    private readonly TorchGraphs<int> _graphs;

    /// <param name="config">The encoder's sizes.</param>
    /// <param name="device">A GPU for which <see cref="TorchGraph.UnsupportedReason"/> is null.</param>
    /// <param name="encode">From ids [1, tokens] to hidden states [1, frames, size], by the plain operations.</param>
    public EncoderGraphs(ConformerConfig config, Device device, Func<Tensor, LiveTokens, Tensor> encode)
    {
        _config = config;
        _input = zeros([2 + Longest], ScalarType.Int64, device).DetachFromDisposeScope();
        _encode = input => encode(input.narrow(0, 2, input.shape[0] - 2).unsqueeze(0), new(input.narrow(0, 0, 1), input.narrow(0, 1, 1)));
        _graphs = new(
            _input.device,
            MostGraphs,
            tokens =>
            {
                using var scope = NewDisposeScope();
                return _encode(_input.narrow(0, 0, 2 + tokens)).MoveToOuterDisposeScope();
            }
        );
    }

    /// <param name="speechTokens">Tokens.</param>
    /// <param name="complete">False where more are to come.</param>
    /// <returns>Hidden states, [1, frames, size].</returns>
    public Tensor Forward(IReadOnlyList<int> speechTokens, bool complete)
    {
        using var scope = NewDisposeScope();
        var tokens = (speechTokens.Count + Bucket - 1) / Bucket * Bucket;
        var encoded = speechTokens.Count - (complete ? 0 : _config.Lookahead);
        long[] input = [speechTokens.Count, encoded, .. speechTokens, .. new long[tokens - speechTokens.Count]];
        var hidden =
            tokens <= Longest
                ? _graphs.Run(tokens, () => HostTransfers.Write<long>(input, _input))
                : _encode(tensor(input, device: _input.device));
        return hidden.narrow(1, 0, encoded * _config.Upsampling).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _graphs.Dispose();
        _input.Dispose();
    }
}
