using System.Runtime.CompilerServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.T3.Fused;

/// <summary>Where each sequence of a decoder stands, in the GPU's memory, and which of them are in a step. Sequences have numbers from
/// 0 on, and each as many rows of the cache as guidance needs.</summary>
internal sealed class BatchState : IDisposable
{
    /// <summary>Tokens of a sequence, and sets of random numbers, that are kept for the steps under way.</summary>
    public const int Ring = 16;

    /// <summary>Words of a random generator, and how many of them are used up.</summary>
    public const int GeneratorWords = GeneratorState.WordCount + 1;

    private readonly List<Tensor> _owned = [];

    /// <param name="config">The variant.</param>
    /// <param name="capacity">Most sequences.</param>
    /// <param name="device">The GPU.</param>
    public BatchState(T3Config config, int capacity, Device device)
    {
        var (rows, vocabulary) = (capacity * config.MaxRows, config.SpeechVocabulary);
        PagesOfRow = KvPages.CountFor(config.MaxLength);
        Batch = Bytes<BatchArguments>(1);
        Alone = Bytes<BatchArguments>(capacity);
        Settings = Bytes<SettingsArguments>(capacity);
        Drawn = Own(zeros([capacity], ScalarType.Int32, device));
        Positions = Own(zeros([rows], ScalarType.Int32, device));
        Pages = Own(zeros([rows, PagesOfRow], ScalarType.Int64, device));
        Spoken = Own(zeros([capacity, vocabulary], ScalarType.Byte, device));
        NoiseMade = Own(zeros([capacity], ScalarType.Int32, device));
        Noise = Own(empty([capacity, Ring, vocabulary], ScalarType.Float32, device));
        Generators = Own(zeros([capacity, Ring, GeneratorWords], ScalarType.Int32, device));
        X = Own(zeros([rows, config.Backbone.HiddenSize], ScalarType.Float32, device));
        using var pageable = zeros([capacity, Ring], ScalarType.Int32);
        Tokens = Own(pageable.pin_memory());

        Tensor Bytes<T>(int count) => Own(zeros([count * Unsafe.SizeOf<T>()], ScalarType.Byte, device));
    }

    /// <summary>Pages of a row of the cache.</summary>
    public int PagesOfRow { get; }

    /// <summary>The sequences of the steps that follow, a <see cref="BatchArguments"/>.</summary>
    public Tensor Batch { get; }

    /// <summary>Each sequence by itself, a <see cref="BatchArguments"/>.</summary>
    public Tensor Alone { get; }

    /// <summary>A <see cref="SettingsArguments"/> for each sequence.</summary>
    public Tensor Settings { get; }

    /// <summary>Tokens that each sequence has drawn, [sequences].</summary>
    public Tensor Drawn { get; }

    /// <summary>Position of each row's newest key, [rows of the cache].</summary>
    public Tensor Positions { get; }

    /// <summary>Addresses of the pages of each row, [rows of the cache, pages].</summary>
    public Tensor Pages { get; }

    /// <summary>Which tokens each sequence has had, [sequences, vocabulary].</summary>
    public Tensor Spoken { get; }

    /// <summary>Tokens that there are random numbers for, [sequences].</summary>
    public Tensor NoiseMade { get; }

    /// <summary>Random numbers, [sequences, ring, vocabulary].</summary>
    public Tensor Noise { get; }

    /// <summary>The random generators after each token, [sequences, ring, words].</summary>
    public Tensor Generators { get; }

    /// <summary>The last token's embedding, [rows of the cache, hidden].</summary>
    public Tensor X { get; }

    /// <summary>In the host's memory, where the GPU writes them: [sequences, ring].</summary>
    public Tensor Tokens { get; }

    /// <summary>Address of a sequence by itself, a <see cref="BatchArguments"/>.</summary>
    public nint AddressOf(int sequence) => Alone.Address() + (sequence * Unsafe.SizeOf<BatchArguments>());

    /// <summary>A token of a sequence, once the step that drew it is done.</summary>
    public unsafe int Token(int sequence, int index) => Volatile.Read(ref ((int*)Tokens.Address())[(sequence * Ring) + (index % Ring)]);

    /// <summary>A sequence's random generator as it stands after a token whose step is done.</summary>
    /// <param name="sequence">Its number.</param>
    /// <param name="index">The token's.</param>
    /// <param name="stream">Where it is copied, with nothing else to wait for.</param>
    /// <returns>Words, and how many of them are used up.</returns>
    public unsafe int[] Generator(int sequence, int index, CudaStream stream)
    {
        var words = new int[GeneratorWords];
        fixed (int* to = words)
        {
            var entry = (sequence * Ring) + (index % Ring);
            CudaDriver.CopyToHost(
                to,
                Generators.Address() + ((nint)entry * GeneratorWords * sizeof(int)),
                GeneratorWords * sizeof(int),
                stream
            );
        }

        return words;
    }

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(tensor => tensor.Dispose());

    private Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }
}

// Structures that kernels read.

[KernelStruct("t3_batch.cuh", "Batch")]
internal unsafe struct BatchArguments
{
    public const int MostRows = 256,
        MostSequences = 256;

    public static readonly (string Name, double Value)[] Constants = [("MOST_ROWS", MostRows), ("MOST_SEQUENCES", MostSequences)];

    public int Rows,
        Sequences;
    public fixed ushort Row[MostRows];
    public fixed ushort First[MostSequences];
}

[KernelStruct("t3_batch.cuh", "Settings")]
internal struct SettingsArguments
{
    public float Guidance,
        Penalty,
        Temperature,
        MinP,
        TopP;
    public int TopK,
        Greedy,
        StartToken,
        Guided;

    /// <summary>Settings of a sequence.</summary>
    /// <param name="settings">How its tokens are chosen.</param>
    /// <param name="startToken">The token that speech begins with.</param>
    public static SettingsArguments Of(SamplingSettings settings, int startToken) =>
        new()
        {
            Guidance = (float)settings.CfgWeight,
            Penalty = (float)settings.RepetitionPenalty,
            Temperature = (float)settings.Temperature,
            MinP = (float)settings.MinP,
            TopP = (float)settings.TopP,
            TopK = settings.TopK,
            Greedy = settings.Temperature == 0 ? 1 : 0,
            StartToken = startToken,
            Guided = settings.Rows - 1,
        };
}
