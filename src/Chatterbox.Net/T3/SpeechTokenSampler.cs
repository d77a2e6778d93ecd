namespace Chatterbox.T3;

/// <summary>Chooses the speech tokens of one sequence: guidance, the variant's steps in its order, and a draw.</summary>
/// <remarks>
/// Ports the sampling of T3.inference and T3.inference_turbo (chatterbox models/t3/t3.py) with the logits processors of
/// transformers generation/logits_process.py they use; the arithmetic is theirs to the bit, so that a seed gives the
/// reference's tokens. Temperature 0, with which the reference fails or samples all the same, takes the likeliest token.
/// </remarks>
internal sealed class SpeechTokenSampler : IDisposable
{
    /// <summary>What is drawn of logits that are not all finite, in place of a token's id.</summary>
    public const int Invalid = -1;

    private readonly SamplerConfig _config;
    private readonly SamplingSettings _settings;
    private readonly NoiseSource _noise;
    private readonly Tensor _spoken; // [1, vocabulary], true for the ids that the repetition penalty falls on
    private bool _hasBegun;

    /// <param name="config">The variant.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers, one draw a token; none at temperature 0.</param>
    /// <param name="device">Where the logits will be.</param>
    public SpeechTokenSampler(T3Config config, SamplingSettings settings, NoiseSource noise, Device device)
    {
        _config = config.Sampling;
        _settings = settings;
        _noise = noise;
        _spoken = zeros([1, config.SpeechVocabulary], ScalarType.Bool, device).DetachFromDisposeScope();
        _spoken.narrow(1, config.StartSpeechToken, 1).Fill(1);
    }

    /// <summary>Chooses a token and remembers it for the repetition penalty.</summary>
    /// <param name="logits">Float32, [1, vocabulary], or [2, vocabulary] where the text guides.</param>
    /// <returns>The token's id, [1, 1], int64; <see cref="Invalid"/> if a logit is not finite.</returns>
    public Tensor Next(Tensor logits)
    {
        using var scope = NewDisposeScope();
        var isInvalid = logits.sum().isfinite().logical_not();
        var scores = Guide(logits, _settings.CfgWeight).MaskedFill(isInvalid, 0); // torch does not draw from what is not finite
        var token =
            _settings.Temperature == 0
                ? Penalise(scores, _spoken, _settings.RepetitionPenalty).argmax(-1, keepdim: true)
                : _noise.Multinomial(softmax(_config.Order.Aggregate(scores, Apply), -1));
        Remember(token);
        return token.MaskedFill(isInvalid, Invalid).MoveToOuterDisposeScope();
    }

    /// <summary>Remembers a token that was drawn before, and passes over the random numbers that it was drawn with.</summary>
    /// <param name="token">Its id, [1, 1], int64.</param>
    public void Replay(Tensor token)
    {
        using var scope = NewDisposeScope();
        if (_settings.Temperature != 0)
        {
            _noise.Exponential(empty([1, _spoken.size(1)], ScalarType.Float32));
        }

        Remember(token);
    }

    /// <inheritdoc/>
    public void Dispose() => _spoken.Dispose();

    /// <summary>cond + weight · (cond − uncond) of the two rows; one row stays as it is.</summary>
    internal static Tensor Guide(Tensor logits, double weight)
    {
        using var scope = NewDisposeScope();
        var conditional = logits.narrow(0, 0, 1);
        return (
            logits.shape[0] == 1 ? conditional : conditional.Add((conditional - logits.narrow(0, 1, 1)).Mul(weight))
        ).MoveToOuterDisposeScope();
    }

    /// <summary>Makes marked tokens less likely, each once however often it was spoken: positive scores are divided by the penalty,
    /// negative ones multiplied.</summary>
    internal static Tensor Penalise(Tensor scores, Tensor spoken, double penalty)
    {
        using var scope = NewDisposeScope();
        return where(spoken, where(scores.Lt(0), scores.Mul(penalty), scores.Div(penalty)), scores).MoveToOuterDisposeScope();
    }

    /// <summary>Drops tokens less likely than <paramref name="fraction"/> of the likeliest.</summary>
    internal static Tensor KeepMinP(Tensor scores, double fraction)
    {
        using var scope = NewDisposeScope();
        var probabilities = softmax(scores, -1);
        return Drop(scores, probabilities < probabilities.amax([-1], keepdim: true).Mul(fraction)).MoveToOuterDisposeScope();
    }

    /// <summary>Keeps the <paramref name="count"/> likeliest tokens, and those equal to the last of them.</summary>
    internal static Tensor KeepTopK(Tensor scores, int count)
    {
        using var scope = NewDisposeScope();
        var (largest, _) = scores.topk((int)Math.Min(count, scores.shape[1]));
        return Drop(scores, scores < largest.narrow(-1, largest.shape[1] - 1, 1)).MoveToOuterDisposeScope();
    }

    /// <summary>Keeps the likeliest tokens that together reach <paramref name="total"/>, at least one.</summary>
    internal static Tensor KeepTopP(Tensor scores, double total)
    {
        using var scope = NewDisposeScope();
        var (ascending, order) = scores.sort();
        var dropped = softmax(ascending, -1).cumsum(-1).Le(1 - total);
        dropped.narrow(-1, dropped.shape[1] - 1, 1).Fill(0);
        return Drop(scores, dropped.scatter(1, order, dropped)).MoveToOuterDisposeScope();
    }

    private static Tensor Drop(Tensor scores, Tensor dropped) => scores.MaskedFill(dropped, double.NegativeInfinity);

    private Tensor Apply(Tensor scores, SamplingStep step) =>
        step switch
        {
            SamplingStep.RepetitionPenalty => Penalise(scores, _spoken, _settings.RepetitionPenalty),
            SamplingStep.Temperature => scores.Div(_settings.Temperature),
            SamplingStep.MinP when _settings.MinP > 0 => KeepMinP(scores, _settings.MinP),
            SamplingStep.TopK when _settings.TopK > 0 => KeepTopK(scores, _settings.TopK),
            SamplingStep.TopP when _settings.TopP < 1 => KeepTopP(scores, _settings.TopP),
            _ => scores, // a filter that is set to keep everything
        };

    private void Remember(Tensor token)
    {
        if (!_hasBegun && !_config.StartTokenIsPenalised)
        {
            _spoken.Fill(0);
        }

        _hasBegun = true;
        _spoken.IndexFill(1, token.flatten(), 1);
    }
}
