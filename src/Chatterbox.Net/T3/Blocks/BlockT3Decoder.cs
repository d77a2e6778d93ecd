namespace Chatterbox.T3.Blocks;

/// <summary>The decoder of models whose speech comes in blocks: every token of a block is masked at first, and passes over the whole block
/// fill them in.</summary>
/// <remarks>
/// Ports generate of chatterbox_flash model.py. A block sees all of itself, and through the cache everything before it. Its learned
/// positions begin at 0 again, the rotary ones go on. What is said of a place follows from the hidden state before it. A step is one pass
/// of each sequence, one after the other as in <see cref="PlainT3Decoder"/>: the sequence's tokens come with the block's last pass, and
/// another goes over them for the cache of the next block.
/// </remarks>
/// <param name="model">The model.</param>
/// <param name="capacity">Most sequences that may be open at once.</param>
internal sealed class BlockT3Decoder(T3Model model, int capacity) : SequentialT3Decoder<BlockT3Sequence>(model, capacity)
{
    private const int LeastSpeech = 300,
        SpeechForTextToken = 6;

    private readonly Dictionary<int, Tensor> _priors = [];

    /// <summary>Ends the speech; the model's own unless a test sets it, as a model that has learned nothing never ends.</summary>
    public int StopToken { get; init; } = model.Config.StopSpeechToken;

    /// <summary>Receives every pass; for tests.</summary>
    public Action<BlockPass>? Observer { get; init; }

    /// <summary>How likely each token is to begin speech of which nothing is known: the mean over the places of a block, [speech
    /// vocabulary].
    /// It is computed once for each size.</summary>
    /// <remarks>Here alone, the masked places see only what is before them, as in the reference.</remarks>
    /// <param name="size">Places of a block.</param>
    public Tensor PriorOf(int size)
    {
        if (!_priors.TryGetValue(size, out var prior))
        {
            using var mode = inference_mode();
            using var scope = NewDisposeScope();
            using var cache = Model.CreateCache(slots: 1);
            cache.Reserve(1 + size);
            long[] ids = [Model.Config.StartSpeechToken, .. Enumerable.Repeat((long)Model.Config.MaskToken, size)];
            var hidden = Model.Run(
                Model.Embed(tensor(ids, [1, ids.Length], device: Model.Device), 0),
                cache,
                new(Slot: 0, Count: 1, Start: 0)
            );
            prior = softmax(Model.Logits(hidden.narrow(1, 0, size)), -1).mean([1]).squeeze(0).DetachFromDisposeScope();
            _priors.Add(size, prior);
        }

        return prior;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var prior in _priors.Values)
        {
            prior.Dispose();
        }

        _priors.Clear();
    }

    /// <inheritdoc/>
    protected override BlockT3Sequence Create(int textTokens, SamplingSettings settings, NoiseSource noise, Action release)
    {
        var blocks = settings.Blocks!;
        var marks = new[] { Model.Config.StartTextToken, Model.Config.StopTextToken }.Count(token => token is not null);
        var limit = Math.Min(Math.Max(SpeechForTextToken * (textTokens + marks), LeastSpeech), settings.MaxSpeechTokens);
        var sampler = new BlockSampler(settings, blocks, Model.Config.MaskToken, blocks.FixedPrior ? PriorOf(blocks.Size) : null, noise);
        return new(Model, settings.Rows, blocks, StopToken, limit, sampler, Observer, release);
    }

    /// <inheritdoc/>
    protected override void Prefill(BlockT3Sequence sequence, Tensor prefix, SamplingSettings settings) => sequence.Open(prefix);

    /// <inheritdoc/>
    protected override void Advance(BlockT3Sequence sequence) => sequence.Advance();
}

/// <summary>One request in a <see cref="BlockT3Decoder"/>.</summary>
internal sealed class BlockT3Sequence : T3Sequence
{
    private readonly T3Model _model;
    private readonly BlockSettings _blocks;
    private readonly int _stopToken;
    private readonly int _limit;
    private readonly BlockSampler _sampler;
    private readonly Action<BlockPass>? _observer;
    private readonly Action _release;
    private readonly KvCache _cache;
    private CacheRows _rows; // where the block begins
    private Tensor? _before;
    private long[] _block = [];
    private int[] _shares = [];
    private int _index;
    private int _pass;
    private bool _isFilled; // but the cache has not seen it
    private bool _disposed;

    /// <param name="model">The model.</param>
    /// <param name="rows">Two where the text guides, else one.</param>
    /// <param name="blocks">How blocks are filled in.</param>
    /// <param name="stopToken">Ends the speech.</param>
    /// <param name="limit">Most speech tokens.</param>
    /// <param name="sampler">Chooses them; goes with the sequence.</param>
    /// <param name="observer">Receives every pass.</param>
    /// <param name="release">Called once when the sequence is disposed.</param>
    public BlockT3Sequence(
        T3Model model,
        int rows,
        BlockSettings blocks,
        int stopToken,
        int limit,
        BlockSampler sampler,
        Action<BlockPass>? observer,
        Action release
    )
        : base(stopToken, limit)
    {
        (_model, _blocks, _stopToken, _limit, _sampler, _observer, _release) = (
            model,
            blocks,
            stopToken,
            limit,
            sampler,
            observer,
            release
        );
        _cache = model.CreateCache(rows);
        _rows = new(Slot: 0, rows, Start: 0);
    }

    /// <summary>The hidden states before the block, [rows, 1, hidden].</summary>
    public Tensor Before => _before!;

    /// <summary>Runs the model over everything before the first block.</summary>
    /// <param name="prefix">Embeddings, [rows, time, hidden].</param>
    public void Open(Tensor prefix)
    {
        _cache.Reserve((int)prefix.shape[1] + _limit);
        GoPast(_model.Run(prefix, _cache, _rows));
        BeginBlock(0);
    }

    /// <summary>Runs the model over the block once: to fill in some of its places, or to put it into the cache.</summary>
    public void Advance()
    {
        using var scope = NewDisposeScope();
        var ids = tensor(_block, [1, _block.Length], device: _model.Device);
        var hidden = _model.Run(_model.Embed(ids, 0).expand(_rows.Count, -1, -1), _cache, _rows);
        if (_isFilled)
        {
            GoPast(hidden);
            BeginBlock(_index + 1);
            return;
        }

        FillIn(_model.Logits(cat([Before, hidden.narrow(1, 0, _block.Length - 1)], 1)));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _sampler.Dispose();
            _cache.Dispose();
            _before?.Dispose();
            _release();
        }
    }

    private void BeginBlock(int index)
    {
        _index = index;
        _block = [.. Enumerable.Repeat((long)_model.Config.MaskToken, Math.Min(_blocks.Size, _limit - (index * _blocks.Size)))];
        _shares = UnmaskSchedule.Of(_block.Length, _blocks.Steps, _blocks.ScheduleShift);
        (_pass, _isFilled) = (0, false);
    }

    /// <summary>What the cache has taken in is before the next block.</summary>
    private void GoPast(Tensor hidden)
    {
        var time = (int)hidden.shape[1];
        _before?.Dispose();
        _before = hidden.narrow(1, time - 1, 1).clone().DetachFromDisposeScope();
        _rows = _rows with { Start = _rows.Start + time };
    }

    private void FillIn(Tensor logits)
    {
        if (!logits.sum().isfinite().item<bool>())
        {
            Add(SpeechTokenSampler.Invalid);
            return;
        }

        var choice = _sampler.Choose(logits, _block, _pass, _shares[_pass]);
        _observer?.Invoke(new(_index, _pass, logits, choice, [.. _block]));
        _pass++;

        // A stop token ends the block at once. Places before it that are still open are no sound, and go the way of all such tokens.
        var hasStopped = _block.Contains(_stopToken);
        if (hasStopped || !_block.Contains(_model.Config.MaskToken))
        {
            _isFilled = true;
            foreach (var token in hasStopped ? _block[..(Array.IndexOf(_block, (long)_stopToken) + 1)] : _block)
            {
                Add((int)token);
            }
        }
    }
}

/// <summary>One pass over a block, for tests.</summary>
/// <param name="Block">Index of the block.</param>
/// <param name="Pass">Index of the pass.</param>
/// <param name="Logits">Of every place, [rows, places, speech vocabulary]; gone after the call.</param>
/// <param name="Choice">What was drawn.</param>
/// <param name="Tokens">The block after it.</param>
internal sealed record BlockPass(int Block, int Pass, Tensor Logits, BlockChoice Choice, long[] Tokens);
