namespace Chatterbox.T3.Blocks;

/// <summary>Chooses the speech tokens of one sequence's blocks: in each pass a candidate for every place is drawn, and those that the model
/// is surest of are taken.</summary>
/// <remarks>
/// Ports _pmi_count_early_step_unmask of chatterbox_flash model.py, with calibration.py and cfg_guidance.py. How sure the model is of a
/// token is its log probability less that of a prior, which is not about the place: so that tokens that are always likely, such as silence,
/// do not come first. The position temperature is a switch, as there: the reference divides zeros by it.
/// </remarks>
internal sealed class BlockSampler : IDisposable
{
    private const double LeastProbability = 1e-8,
        Epsilon = 1e-10;

    private readonly SamplingSettings _settings;
    private readonly BlockSettings _blocks;
    private readonly int _mask;
    private readonly NoiseSource _noise;
    private readonly Tensor? _fixedPrior;
    private Tensor? _firstPrior; // without guidance, that of the speech's first pass stays

    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="blocks">The same, of blocks.</param>
    /// <param name="mask">Id of a place that is still open.</param>
    /// <param name="fixedPrior">Probabilities of tokens without text and voice, [speech vocabulary]; null compares with the other
    /// places.</param>
    /// <param name="noise">The request's random numbers: in each pass a draw for every place, then a number for each.</param>
    public BlockSampler(SamplingSettings settings, BlockSettings blocks, int mask, Tensor? fixedPrior, NoiseSource noise) =>
        (_settings, _blocks, _mask, _fixedPrior, _noise) = (settings, blocks, mask, fixedPrior, noise);

    /// <summary>Takes some of a block's open places.</summary>
    /// <param name="logits">Of every place, finite, float32, [rows, places, speech vocabulary]; the second row is the one without
    /// text.</param>
    /// <param name="tokens">The block so far, and afterwards.</param>
    /// <param name="pass">Index of the pass.</param>
    /// <param name="share">Places that it takes at least, if that many are open.</param>
    /// <returns>What was drawn, and how sure the model is of it.</returns>
    public BlockChoice Choose(Tensor logits, Span<long> tokens, int pass, int share)
    {
        using var scope = NewDisposeScope();
        var guided = Guide(logits);
        var candidates = Draw(guided);
        var scores = Score(logits, candidates).cpu();
        var choice = new BlockChoice(candidates.cpu().data<long>().ToArray(), scores.data<float>().ToArray(), DrawNoise(tokens.Length));
        var open = new List<int>();
        for (var place = 0; place < tokens.Length; place++)
        {
            if (tokens[place] == _mask)
            {
                open.Add(place);
            }
        }

        foreach (var taken in Surest([.. open.Select(place => choice.Scores[place] + choice.Noise[place])], pass, share))
        {
            tokens[open[taken]] = choice.Candidates[open[taken]];
        }

        return choice;
    }

    /// <inheritdoc/>
    public void Dispose() => _firstPrior?.Dispose();

    /// <summary>Guidance on log probabilities: c + w·(c − u), [places, speech vocabulary].</summary>
    private Tensor Guide(Tensor logits)
    {
        if (_settings.Rows == 1)
        {
            return logits[0];
        }

        using var scope = NewDisposeScope();
        var rows = nn.functional.log_softmax(logits, -1);
        return rows[0].Add((rows[0] - rows[1]).Mul(_settings.CfgWeight)).MoveToOuterDisposeScope();
    }

    /// <summary>A token for every place, open or not: [places].</summary>
    private Tensor Draw(Tensor guided)
    {
        using var scope = NewDisposeScope();
        var drawn =
            _settings.Temperature == 0 ? guided.argmax(-1) : _noise.Multinomial(softmax(guided.Div(_settings.Temperature), -1)).squeeze(-1);
        return drawn.MoveToOuterDisposeScope();
    }

    /// <summary>How sure the model is of each candidate, before noise: [places].</summary>
    private Tensor Score(Tensor logits, Tensor candidates)
    {
        using var scope = NewDisposeScope();
        var probabilities = softmax(logits, -1);
        if (_settings.Rows == 1)
        {
            _firstPrior ??= _fixedPrior is null ? probabilities[0].mean([0]).DetachFromDisposeScope() : null;
            return Above(probabilities[0], _fixedPrior ?? _firstPrior!, candidates).MoveToOuterDisposeScope();
        }

        var (with, without) = (AbovePrior(probabilities[0]), AbovePrior(probabilities[1]));
        return (with.Mul(1 + _settings.CfgWeight) - without.Mul(_settings.CfgWeight)).MoveToOuterDisposeScope();

        Tensor AbovePrior(Tensor row) => Above(row, _fixedPrior ?? row.mean([0]), candidates);
    }

    private static Tensor Above(Tensor probabilities, Tensor prior, Tensor candidates)
    {
        using var scope = NewDisposeScope();
        var likely = probabilities.gather(1, candidates.unsqueeze(1)).squeeze(1);
        return (LogOf(likely) - LogOf(prior.index_select(0, candidates))).MoveToOuterDisposeScope();

        static Tensor LogOf(Tensor x) => x.ClampMin(LeastProbability).log();
    }

    /// <summary>Gumbel noise, or zeros where it is turned off.</summary>
    private float[] DrawNoise(int places)
    {
        if (_blocks.PositionTemperature == 0)
        {
            return new float[places];
        }

        using var scope = NewDisposeScope();
        var uniform = _noise.Uniform(0, 1, [places]);
        return (-log((-log(uniform.Add(Epsilon))).Add(Epsilon))).data<float>().ToArray();
    }

    /// <summary>Indices of the scores that a pass takes: its share, or more where more of them are high.</summary>
    private int[] Surest(float[] scores, int pass, int share)
    {
        if (pass == _blocks.Steps - 1 || scores.Length == 0)
        {
            return [.. Enumerable.Range(0, scores.Length)];
        }

        using var scope = NewDisposeScope();
        var all = tensor(scores);
        var high = 0;
        if (_blocks.TimeShift > 0)
        {
            var quantile = Math.Max(0, 1 - (_blocks.TimeShift * (pass + 1) / _blocks.Steps));
            high = (int)all.ge(torch.quantile(all, tensor((float)quantile))).sum().item<long>();
        }

        return [.. all.topk(Math.Min(Math.Max(share, high), scores.Length)).indexes.data<long>().Select(index => (int)index)];
    }
}

/// <summary>What one pass has drawn.</summary>
/// <param name="Candidates">A token for every place.</param>
/// <param name="Scores">How sure the model is of each, in nats.</param>
/// <param name="Noise">What is added to the scores of open places.</param>
internal sealed record BlockChoice(long[] Candidates, float[] Scores, float[] Noise);
