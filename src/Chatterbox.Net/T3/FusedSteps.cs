using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3;

/// <summary>A way of making steps, for the buffers of one sequence.</summary>
internal interface IStep : IDisposable
{
    /// <summary>Called before a sequence's first step, and while none is under way; the cache may be elsewhere than it was.</summary>
    void Begin();

    /// <summary>Launches a step: from the last token's embedding to the next token.</summary>
    void Launch(CudaStream stream);
}

/// <summary>One sequence's steps on the GPU, ahead of the host: the host reads a token while the GPU makes the next few, so
/// neither waits for the other. Tokens made beyond the stop token are dropped, and the noise drawn for them is given back.</summary>
internal sealed class FusedSteps : IDisposable
{
    private readonly FusedT3 _t3;
    private readonly StepBuffers _buffers;
    private readonly CudaStream _stream = new();
    private readonly nint[] _done = new nint[StepBuffers.Ring];       // an event for each entry of the ring
    private readonly Tensor?[] _noiseStates = new Tensor?[StepBuffers.Ring];
    private readonly int _device;
    private readonly IStep _step;
    private PrefillGraphs? _prefill;
    private NoiseSource? _noise;
    private int _limit;
    private int _length;         // of the prefix
    private int _launched;
    private int _read;

    /// <param name="t3">Launches the kernels.</param>
    /// <param name="config">The variant.</param>
    /// <param name="rows">Rows of the sequence's batch.</param>
    /// <param name="persistent">True where each step is a single kernel.</param>
    /// <param name="device">The GPU.</param>
    public FusedSteps(FusedT3 t3, T3Config config, int rows, bool persistent, Device device)
    {
        _t3 = t3;
        _device = device.index;
        _buffers = new(config, rows, device);
        _step = t3.CreateStep(_buffers, persistent);
        Persistent = persistent;
        foreach (ref var done in _done.AsSpan())
        {
            CudaDriver.Check(CudaDriver.EventCreate(out done, CudaDriver.WithoutTiming), nameof(CudaDriver.EventCreate));
        }
    }

    /// <summary>Rows of the sequence's batch.</summary>
    public int Rows => _buffers.Rows;

    /// <summary>True where each step is a single kernel.</summary>
    public bool Persistent { get; }

    /// <summary>Steps under way beyond the one whose token is waited for; less than <see cref="StepBuffers.Ring"/>.</summary>
    public int Ahead { get; set; } = 3;

    /// <summary>The sequence's keys and values, in slots from 0 on; another cache once the sequence is longer than most.</summary>
    public KvCache Cache => _buffers.Cache;

    /// <summary>Logits of the last step that was launched, [rows, vocabulary].</summary>
    public Tensor Logits => _buffers.Logits;

    /// <summary>The prefill into <see cref="Cache"/> as graphs; null where the plain operations do it.</summary>
    /// <param name="model">The model that the steps are of.</param>
    public PrefillGraphs? PrefillOf(T3Model model) =>
        _prefill ??= TorchGraph.WhyNot(model.Device) is null ? new(model, Cache, Rows) : null;

    /// <summary>Begins behind a prefill.</summary>
    /// <param name="logits">Of the first token, float32, [rows, vocabulary].</param>
    /// <param name="length">Positions of the cache that the prefill took.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="startToken">The token that speech began with.</param>
    /// <param name="noise">The request's random numbers.</param>
    public void Begin(Tensor logits, int length, SamplingSettings settings, int startToken, NoiseSource noise)
    {
        using var context = CudaContext.Use(_device);
        (_noise, _limit, _length, _launched, _read) = (settings.Temperature == 0 ? null : noise, settings.MaxSpeechTokens, length, 0, 0);
        _buffers.Begin(logits, length, settings, startToken);
        _step.Begin();
        _stream.WaitFor(CudaStream.OfTorch);
    }

    /// <summary>The next token.</summary>
    /// <param name="stopToken">Ends the sequence.</param>
    public int Next(int stopToken)
    {
        using var context = CudaContext.Use(_device);
        while (_launched < Math.Min(_read + 1 + Ahead, _limit))
        {
            Launch();
        }

        var entry = _read++ % StepBuffers.Ring;
        CudaDriver.Check(CudaDriver.EventSynchronize(_done[entry]), nameof(CudaDriver.EventSynchronize));
        var token = _buffers.Token(entry);
        if (token == stopToken && _noise is not null)
        {
            _noise.Restore(_noiseStates[entry]!);   // as if nothing had been drawn beyond
        }

        return token;
    }

    /// <summary>Gives the room back for another sequence; steps that are still under way end before that one begins.</summary>
    public void Dispose()
    {
        using var context = CudaContext.Use(_device);
        CudaStream.OfTorch.WaitFor(_stream);
        _noise = null;
        _buffers.End();
        _t3.Return(this);
    }

    /// <summary>Frees everything.</summary>
    public void Free()
    {
        using var context = CudaContext.Use(_device);
        _stream.Synchronize();
        _prefill?.Dispose();
        _step.Dispose();
        foreach (var done in _done)
        {
            _ = CudaDriver.EventDestroy(done);
        }

        foreach (var state in _noiseStates)
        {
            state?.Dispose();
        }

        _stream.Dispose();
        _buffers.Dispose();
    }

    private void Launch()
    {
        var entry = _launched % StepBuffers.Ring;
        if (_noise is not null)
        {
            _noise.Exponential(_buffers.NoiseRow(entry));
            _noiseStates[entry]?.Dispose();
            _noiseStates[entry] = _noise.Save();
        }

        if (_launched == 0)
        {
            _t3.Sample(_buffers, _stream, overlaps: false);
        }
        else
        {
            MakeRoom(_length + _launched);
            _step.Launch(_stream);
        }

        CudaDriver.Check(CudaDriver.EventRecord(_done[entry], _stream.Handle), nameof(CudaDriver.EventRecord));
        _launched++;
    }

    private void MakeRoom(int length)
    {
        if (length > Cache.Capacity)
        {
            _stream.Synchronize();
            _buffers.MakeRoom(length);
            _step.Begin();
            _stream.WaitFor(CudaStream.OfTorch);
        }
    }
}

/// <summary>The fixed buffers of one sequence's steps.</summary>
internal sealed class StepBuffers : IDisposable
{
    /// <summary>Tokens, and rows of noise, that are kept for the steps under way.</summary>
    public const int Ring = 8;

    private const int UsualText = 96, UsualSpeech = 10 * SpeechResult.TokensPerSecond;   // tokens

    private readonly Tensor[] _noiseRows;
    private readonly KvCache _usual;
    private KvCache? _longer;

    public StepBuffers(T3Config config, int rows, Device device)
    {
        var sizes = config.Backbone;
        Rows = rows;
        _usual = new(sizes, rows, device, ScalarType.BFloat16);
        _usual.Reserve(config.MaxLength - config.TextPositions - config.MaxSpeechTokens + UsualText + UsualSpeech);
        X = Wide(rows, sizes.HiddenSize);
        Logits = Wide(rows, config.SpeechVocabulary);
        Spoken = zeros([config.SpeechVocabulary], ScalarType.Byte, device).DetachFromDisposeScope();
        State = zeros([1 + (2 * rows)], ScalarType.Int32, device).DetachFromDisposeScope();
        Settings = zeros([Marshal.SizeOf<SettingsArguments>() / sizeof(int)], ScalarType.Int32, device).DetachFromDisposeScope();
        Noise = InHost(empty([Ring, config.SpeechVocabulary], ScalarType.Float32));
        Tokens = InHost(zeros([Ring], ScalarType.Int32));
        _noiseRows = [.. Noise.unbind(0).Select(row => row.unsqueeze(0).DetachFromDisposeScope())];

        Tensor Wide(params long[] shape) => zeros(shape, ScalarType.Float32, device).DetachFromDisposeScope();
    }

    public int Rows { get; }

    /// <summary>Where most sequences fit in; a longer one has a cache of its own from where it does not.</summary>
    public KvCache Cache => _longer ?? _usual;

    public Tensor X { get; }

    public Tensor Logits { get; }

    public Tensor Spoken { get; }

    /// <summary>Tokens drawn; the rows' positions; the rows' slots.</summary>
    public Tensor State { get; }

    public nint Positions => State.Address() + sizeof(int);

    public nint Slots => Positions + (Rows * sizeof(int));

    public Tensor Settings { get; }

    /// <summary>In the host's memory, where the GPU reads it: [ring, vocabulary].</summary>
    public Tensor Noise { get; }

    /// <summary>In the host's memory, where the GPU writes it: [ring].</summary>
    public Tensor Tokens { get; }

    /// <summary>Room for the noise of a step, [1, vocabulary].</summary>
    public Tensor NoiseRow(int entry) => _noiseRows[entry];

    /// <summary>The token of a step that is done.</summary>
    public unsafe int Token(int entry) => Volatile.Read(ref ((int*)Tokens.Address())[entry]);

    /// <summary>Puts a sequence at its first token.</summary>
    public void Begin(Tensor logits, int length, SamplingSettings settings, int startToken)
    {
        using var scope = NewDisposeScope();
        Logits.copy_(logits);
        Spoken.zero_();
        Spoken.narrow(0, startToken, 1).Fill(1);
        State.copy_(tensor((int[])[0, .. Enumerable.Repeat(length - 1, Rows), .. Enumerable.Range(0, Rows)]));
        var values = new SettingsArguments
        {
            Guidance = (float)settings.CfgWeight,
            Penalty = (float)settings.RepetitionPenalty,
            Temperature = (float)settings.Temperature,
            MinP = (float)settings.MinP,
            TopP = (float)settings.TopP,
            TopK = settings.TopK,
            Greedy = settings.Temperature == 0 ? 1 : 0,
            StartToken = startToken,
        };
        Settings.copy_(tensor(MemoryMarshal.Cast<SettingsArguments, int>(new ReadOnlySpan<SettingsArguments>(in values)).ToArray()));
    }

    /// <summary>Makes room for so many time steps and the next ten seconds.</summary>
    public void MakeRoom(int length)
    {
        var longer = Cache.CopyWithRoom(length + UsualSpeech);
        _longer?.Dispose();
        _longer = longer;
    }

    /// <summary>Takes the sequence out.</summary>
    public void End()
    {
        _longer?.Dispose();
        _longer = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        End();
        _usual.Dispose();
        foreach (var tensor in _noiseRows.Concat([X, Logits, Spoken, State, Settings, Noise, Tokens]))
        {
            tensor.Dispose();
        }
    }

    private static Tensor InHost(Tensor pageable)
    {
        using (pageable)
        {
            return pageable.pin_memory().DetachFromDisposeScope();
        }
    }
}

// The parameters of the kernel that samples, laid out as in t3_sample.cu.

internal struct SettingsArguments
{
    public float Guidance, Penalty, Temperature, MinP, TopP;
    public int TopK, Greedy, StartToken;
}

internal struct SampleArguments
{
    public nint Logits, Settings, State, Spoken, Noise, Tokens;
    public int Ring;
    public nint Embeddings, Places, X;
}
