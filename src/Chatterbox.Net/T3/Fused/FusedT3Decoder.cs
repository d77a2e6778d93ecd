using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>The decoder on a GPU: one step for all sequences, some steps ahead of the host, which reads a step's tokens while the GPU makes
/// the next ones. A step of one or two sequences is a single kernel each where the GPU can run it, any other a graph for all of
/// them; the numbers are the same to the bit, and so are those of any batch.</summary>
internal sealed class FusedT3Decoder : IT3Decoder
{
    private const int MostSingle = 2; // sequences that steps of their own are fastest for
    private const int NoiseAhead = BatchState.Ring / 2,
        LeastNoiseAhead = NoiseAhead / 2;

    private readonly T3Model _model;
    private readonly T3Config _config;
    private readonly int _device;
    private readonly StepWeights _weights;
    private readonly BatchState _state;
    private readonly TokenSampler _sampler;
    private readonly BatchStep _batchStep;
    private readonly Dictionary<int, SingleStep> _singleSteps = []; // by rows; none where the GPU cannot run them
    private readonly Dictionary<int, Prefill> _prefills = []; // by rows
    private readonly KvPages _pages;
    private readonly Stack<int> _free;
    private readonly CudaStream _prefill,
        _steps,
        _noise,
        _copies; // the first not torch's usual one, where sound is made meanwhile
    private readonly Queue<LaunchedStep> _launched = [];
    private readonly Stack<nint> _events = [];
    private readonly List<(int At, nint Page)> _newPages = [];
    private IReadOnlyList<FusedT3Sequence> _planned = [];
    private int _reservedPages;

    /// <param name="model">The model, for which <see cref="UnsupportedReason"/> is null.</param>
    /// <param name="capacity">Most sequences that may be open at once.</param>
    /// <param name="cacheBytes">Most bytes of keys and values of all of them.</param>
    public FusedT3Decoder(T3Model model, int capacity, long cacheBytes)
    {
        (_model, _config, _device) = (model, model.Config, model.Device.index);
        Capacity = capacity = Math.Min(capacity, BatchArguments.MostRows / _config.MaxRows);
        using var context = CudaContext.Use(_device);
        using var mode = inference_mode();
        (_prefill, _steps, _noise, _copies) = (new(), new(), new(), new());
        _weights = new(_config, model.Backbone, model.Speech);
        _state = new(_config, capacity, model.Device);
        _sampler = new(_config, _weights, _state, model.Device);
        _batchStep = new(_config, _weights, _state, _sampler, model.Device);
        _pages = new(_config.Backbone, model.Device, cacheBytes);
        _free = new(Enumerable.Range(0, capacity).Reverse());
        SingleUnsupportedReason = SingleStep.UnsupportedReason(_config, model.Device);
        _steps.WaitFor(CudaStream.OfTorch);
        _noise.WaitFor(CudaStream.OfTorch);
        _prefill.WaitFor(CudaStream.OfTorch);
        using var torch = _prefill.ForTorch(_device);
        for (var rows = 1; rows <= _config.MaxRows; rows++)
        {
            _prefills[rows] = new(model, rows);
            if (SingleUnsupportedReason is null)
            {
                _singleSteps[rows] = new(_config, rows, _weights, _state, _sampler, model.Device);
            }
        }

        _steps.WaitFor(_prefill);
        _noise.WaitFor(_prefill);
    }

    /// <inheritdoc/>
    public int Capacity { get; }

    /// <inheritdoc/>
    public int Width => Capacity;

    /// <inheritdoc/>
    public CacheUse Cache => new(_pages.InUse, _pages.Most);

    /// <summary>Why a step of one sequence is a graph of kernels and not a single one, or null.</summary>
    public string? SingleUnsupportedReason { get; }

    /// <summary>True where steps of few sequences are a single kernel each. Set by tests, which compare both ways.</summary>
    public bool UsesSingleStep { get; set; } = true;

    /// <summary>Steps under way beyond the one whose tokens are waited for.</summary>
    public int Ahead { get; set; } = 3;

    /// <summary>Logits of the last step, [rows of the step, vocabulary].</summary>
    public Tensor Logits => _sampler.Logits;

    /// <summary>Keys and values of the sequences.</summary>
    public KvPages Pages => _pages;

    /// <summary>Why a model cannot be decoded so, or null.</summary>
    public static string? UnsupportedReason(T3Model model) =>
        CudaModule.UnsupportedReason(model.Device)
        ?? (
            model.Speech.Head.dtype != ScalarType.BFloat16
                ? "the weights are not in bfloat16"
                : BatchStep.UnsupportedReason(model.Config, model.Device) ?? TokenSampler.UnsupportedReason(model.Config, model.Device)
        );

    /// <inheritdoc/>
    public T3Sequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise)
    {
        var settings = SamplingSettings.Resolve(sampling, _config);
        if (_free.Count == 0)
        {
            throw new InvalidOperationException($"All {Capacity} sequences are open; dispose one first.");
        }

        using var context = CudaContext.Use(_device);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var torch = _prefill.ForTorch(_device);
        var prefix = _model.Prefix(textTokens, voice, settings);
        var pages = settings.Rows * KvPages.CountFor((int)prefix.size(1) + settings.MaxSpeechTokens);
        if (_reservedPages + pages > _pages.Most)
        {
            throw new UnavailableException(
                $"The cache of speech under way has {_pages.Most - _reservedPages} free pages of {_pages.PageBytes >> 10} KiB, and this "
                    + $"speech may need {pages}. Try again when another has ended, or give the engine more memory."
            );
        }

        var prefill = _prefills[settings.Rows];
        var logits = prefill.Forward(prefix);
        var sequence = new FusedT3Sequence(this, _config.StopSpeechToken, settings, _free.Pop(), (int)prefix.size(1), noise, pages);
        _reservedPages += pages;
        try
        {
            MakeRoom(sequence);
            ProvidePages();
            _steps.WaitFor(_prefill);
            _batchStep.Begin(sequence.Number, sequence.PrefixLength, settings, noise.SaveWords(), _steps);
            _batchStep.Keep(prefill.Cache, sequence.Number * _config.MaxRows, settings.Rows, sequence.PrefixLength, _steps);
            prefill.KeptBy(_steps);
            _sampler.MakeNoise(_state.AddressOf(sequence.Number), 1, ahead: 1, _steps);
            _sampler.Sample(_state.AddressOf(sequence.Number), 1, _steps, overlaps: false, logits);
            sequence.FirstLogits = logits.DetachFromDisposeScope();
            Launched([sequence], isStep: false);
            return sequence;
        }
        catch
        {
            sequence.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Step(params ReadOnlySpan<T3Sequence> sequences)
    {
        using var context = CudaContext.Use(_device);
        var unfinished = new List<FusedT3Sequence>(sequences.Length);
        foreach (var sequence in sequences)
        {
            if (!sequence.Finished)
            {
                unfinished.Add((FusedT3Sequence)sequence);
            }
        }

        if (unfinished.Count == 0)
        {
            return;
        }

        while (
            _launched.Count(step => step.IsStep) <= Ahead
            && unfinished.FindAll(sequence => sequence.Launched < sequence.Limit) is { Count: > 0 } next
        )
        {
            Launch(next);
        }

        var received = false;
        do
        {
            received |= Receive().Overlaps(unfinished);
        } while (!received || _launched.TryPeek(out var first) && !first.IsStep); // first tokens come before the steps that follow them
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using var context = CudaContext.Use(_device);
        _prefill.Synchronize();
        _steps.Synchronize();
        _noise.Synchronize();
        foreach (var step in _launched)
        {
            _events.Push(step.Done);
        }

        foreach (var done in _events)
        {
            _ = CudaDriver.EventDestroy(done);
        }

        foreach (
            var part in (IEnumerable<IDisposable>)
                [.. _prefills.Values, .. _singleSteps.Values, _batchStep, _sampler, _state, _weights, _pages]
        )
        {
            part.Dispose();
        }

        GraphMemory.Forget(_device, _prefill);
        foreach (var stream in (ReadOnlySpan<CudaStream>)[_prefill, _steps, _noise, _copies])
        {
            stream.Dispose();
        }
    }

    /// <summary>Takes a sequence out. Steps under way still run over it; what joins comes after them.</summary>
    internal void Leave(FusedT3Sequence sequence)
    {
        if (!sequence.Finished)
        {
            using var context = CudaContext.Use(_device);
            RestoreNoise(sequence);
        }

        _reservedPages -= sequence.ReservedPages;
        foreach (var page in sequence.Pages.SelectMany(row => row))
        {
            _pages.Return(page);
        }

        _free.Push(sequence.Number);
    }

    private void Launch(List<FusedT3Sequence> sequences)
    {
        sequences.ForEach(MakeRoom);
        if (sequences.Count <= MostSingle && UsesSingleStep && _singleSteps.Count > 0)
        {
            ProvidePages();
            foreach (var sequence in sequences)
            {
                ProvideNoise(sequence);
                _singleSteps[sequence.Rows].Launch(sequence.Number, _steps);
            }
        }
        else
        {
            Plan(sequences);
            _steps.WaitFor(_noise); // which single steps may have begun
            _batchStep.Launch(sequences.Sum(sequence => sequence.Rows), _steps);
        }

        Launched(sequences, isStep: true);
    }

    private void Launched(IReadOnlyList<FusedT3Sequence> sequences, bool isStep)
    {
        if (!_events.TryPop(out var done))
        {
            CudaDriver.Check(CudaDriver.EventCreate(out done, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        }

        CudaDriver.Check(CudaDriver.EventRecord(done, _steps.Handle), nameof(CudaDriver.EventRecord));
        _launched.Enqueue(new(done, [.. sequences], isStep));
        foreach (var sequence in sequences)
        {
            sequence.Launched++;
            sequence.NoiseReady = Math.Max(sequence.NoiseReady, sequence.Launched);
            sequence.NoiseAsked = Math.Max(sequence.NoiseAsked, sequence.NoiseReady);
        }
    }

    /// <summary>Waits for the oldest step under way and hands out its tokens.</summary>
    /// <returns>The sequences that have received one.</returns>
    private HashSet<FusedT3Sequence> Receive()
    {
        var step = _launched.Dequeue();
        CudaDriver.Check(CudaDriver.EventSynchronize(step.Done), nameof(CudaDriver.EventSynchronize));
        _events.Push(step.Done);
        var received = new HashSet<FusedT3Sequence>();
        foreach (var sequence in step.Sequences)
        {
            if (sequence.Finished || sequence.IsDisposed)
            {
                continue;
            }

            sequence.Add(_state.Token(sequence.Number, sequence.SpeechTokens.Count));
            received.Add(sequence);
            if (sequence.Finished)
            {
                RestoreNoise(sequence);
            }
        }

        return received;
    }

    /// <summary>Leaves a request's random numbers as if none had been drawn beyond the tokens received.</summary>
    private void RestoreNoise(FusedT3Sequence sequence)
    {
        if (sequence is { Noise: { } noise, SpeechTokens.Count: > 0 })
        {
            noise.RestoreWords(_state.Generator(sequence.Number, sequence.SpeechTokens.Count - 1, _copies));
        }
    }

    /// <summary>Pages for the position of the next step.</summary>
    private void MakeRoom(FusedT3Sequence sequence)
    {
        for (var row = 0; row < sequence.Rows; row++)
        {
            var pages = sequence.Pages[row];
            while (pages.Count < KvPages.CountFor(sequence.PrefixLength + sequence.Launched))
            {
                var page = _pages.Take();
                _newPages.Add(((((sequence.Number * _config.MaxRows) + row) * _state.PagesOfRow) + pages.Count, page));
                pages.Add(page);
            }
        }
    }

    /// <summary>Makes these sequences the batch of the steps that follow.</summary>
    private unsafe void Plan(List<FusedT3Sequence> sequences)
    {
        ProvidePages();
        if (sequences.SequenceEqual(_planned))
        {
            return;
        }

        var plan = new PlanArguments { Target = _state.Batch.Address(), Pages = _state.Pages.Address() };
        foreach (var sequence in sequences)
        {
            plan.Batch.First[plan.Batch.Sequences++] = (ushort)plan.Batch.Rows;
            for (var row = 0; row < sequence.Rows; row++)
            {
                plan.Batch.Row[plan.Batch.Rows++] = (ushort)((sequence.Number * _config.MaxRows) + row);
            }
        }

        _batchStep.Plan(plan, _steps);
        _planned = sequences;
    }

    /// <summary>Tells the GPU of the pages that sequences have taken.</summary>
    private unsafe void ProvidePages()
    {
        foreach (var pages in _newPages.Chunk(PlanArguments.MostPages))
        {
            var plan = new PlanArguments { Pages = _state.Pages.Address() };
            foreach (var (at, page) in pages)
            {
                plan.At[plan.Count] = (uint)at;
                plan.Page[plan.Count++] = (ulong)page;
            }

            _batchStep.Plan(plan, _steps);
        }

        _newPages.Clear();
    }

    /// <summary>Random numbers for the next step of a sequence alone, and for some after it while it runs.</summary>
    private void ProvideNoise(FusedT3Sequence sequence)
    {
        while (sequence.NoiseReady <= sequence.Launched)
        {
            if (sequence.NoiseAsked <= sequence.Launched)
            {
                Ask();
            }

            _steps.WaitFor(_noise);
            sequence.NoiseReady = sequence.NoiseAsked;
        }

        if (sequence.NoiseAsked - sequence.Launched <= LeastNoiseAhead)
        {
            Ask();
        }

        void Ask()
        {
            _noise.WaitFor(_steps);
            _sampler.MakeNoise(_state.AddressOf(sequence.Number), 1, NoiseAhead, _noise);
            sequence.NoiseAsked = sequence.Launched + NoiseAhead;
        }
    }

    private readonly record struct LaunchedStep(nint Done, FusedT3Sequence[] Sequences, bool IsStep);

    /// <summary>Prefills of sequences with some number of rows, into a cache of their own.</summary>
    private sealed class Prefill : IDisposable
    {
        private readonly T3Model _model;
        private readonly int _rows;
        private readonly PrefillGraphs? _graphs;
        private readonly nint _kept;

        public Prefill(T3Model model, int rows)
        {
            (_model, _rows) = (model, rows);
            Cache = model.CreateCache(rows);
            _graphs = TorchGraph.UnsupportedReason(model.Device) is null ? new(model, Cache, rows) : null;
            CudaDriver.Check(CudaDriver.EventCreate(out _kept, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        }

        public KvCache Cache { get; }

        /// <summary>Logits of the first token, float32, [rows, vocabulary].</summary>
        public Tensor Forward(Tensor prefix)
        {
            CudaDriver.Check(CudaDriver.StreamWaitEvent(CudaStream.OfTorch.Handle, _kept, 0), nameof(CudaDriver.StreamWaitEvent));
            Cache.Reserve((int)prefix.size(1));
            return _graphs?.Forward(prefix) ?? _model.Forward(prefix, Cache, new(Slot: 0, _rows, Start: 0));
        }

        /// <summary>The next prefill may begin once what is in a stream now is done.</summary>
        public void KeptBy(CudaStream stream) =>
            CudaDriver.Check(CudaDriver.EventRecord(_kept, stream.Handle), nameof(CudaDriver.EventRecord));

        public void Dispose()
        {
            _graphs?.Dispose();
            Cache.Dispose();
            _ = CudaDriver.EventDestroy(_kept);
        }
    }
}

/// <summary>One request in a <see cref="FusedT3Decoder"/>.</summary>
internal sealed class FusedT3Sequence : T3Sequence
{
    private readonly FusedT3Decoder _decoder;

    /// <param name="decoder">Whose it is.</param>
    /// <param name="stopToken">Ends the speech.</param>
    /// <param name="settings">How tokens are chosen, and how many at most.</param>
    /// <param name="number">Its number in the decoder.</param>
    /// <param name="prefixLength">Positions that the prefill takes.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="reservedPages">Pages of the cache that it may take.</param>
    public FusedT3Sequence(
        FusedT3Decoder decoder,
        int stopToken,
        SamplingSettings settings,
        int number,
        int prefixLength,
        NoiseSource noise,
        int reservedPages
    )
        : base(stopToken, settings.MaxSpeechTokens)
    {
        _decoder = decoder;
        (Number, PrefixLength, Limit, ReservedPages) = (number, prefixLength, settings.MaxSpeechTokens, reservedPages);
        Noise = settings.Temperature == 0 ? null : noise;
        Pages = [.. Enumerable.Range(0, settings.Rows).Select(_ => new List<nint>())];
    }

    /// <summary>Its number in the decoder.</summary>
    public int Number { get; }

    /// <summary>Rows of the cache, and of a step.</summary>
    public int Rows => Pages.Length;

    /// <summary>Positions that the prefill takes.</summary>
    public int PrefixLength { get; }

    /// <summary>Most speech tokens.</summary>
    public int Limit { get; }

    /// <summary>The request's random numbers; null where tokens are not drawn.</summary>
    public NoiseSource? Noise { get; }

    /// <summary>Pages of the cache, of each row.</summary>
    public List<nint>[] Pages { get; }

    /// <summary>Pages of the cache that it may take.</summary>
    public int ReservedPages { get; }

    /// <summary>True once it has left the decoder.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Tokens whose steps were launched.</summary>
    internal int Launched { get; set; }

    /// <summary>Tokens whose steps find random numbers.</summary>
    internal int NoiseReady { get; set; }

    /// <summary>Tokens that random numbers are being made for.</summary>
    internal int NoiseAsked { get; set; }

    /// <summary>Logits of the first token, which the GPU may still have to read.</summary>
    internal Tensor? FirstLogits { get; set; }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (!IsDisposed)
        {
            IsDisposed = true;
            FirstLogits?.Dispose();
            _decoder.Leave(this);
        }
    }
}
