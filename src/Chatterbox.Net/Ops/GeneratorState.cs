using System.Buffers.Binary;

namespace Chatterbox.Ops;

/// <summary>The state of torch's random generator on the CPU, a Mersenne Twister, as its words. Torch lays it out as seed, words left,
/// whether it was seeded, the next word, and the words as 64 bits each.</summary>
internal static class GeneratorState
{
    /// <summary>Words of the twister.</summary>
    public const int WordCount = 624;

    private const int LeftAt = 8,
        NextAt = 16,
        WordsAt = 24;

    /// <summary>The words, and how many of them are used up.</summary>
    /// <param name="state">As torch's <c>get_state</c> returns it.</param>
    public static int[] Words(ReadOnlySpan<byte> state)
    {
        var words = new int[WordCount + 1];
        for (var i = 0; i < WordCount; i++)
        {
            words[i] = (int)BinaryPrimitives.ReadUInt64LittleEndian(state[(WordsAt + (i * sizeof(ulong)))..]);
        }

        // With one word left the next draw makes new ones, whatever word would be next.
        words[WordCount] =
            BinaryPrimitives.ReadInt32LittleEndian(state[LeftAt..]) == 1
                ? WordCount
                : (int)BinaryPrimitives.ReadUInt64LittleEndian(state[NextAt..]);
        return words;
    }

    /// <summary>Puts words into a state.</summary>
    /// <param name="state">As torch's <c>set_state</c> takes it.</param>
    /// <param name="words">The words, and how many of them are used up.</param>
    public static void SetWords(Span<byte> state, ReadOnlySpan<int> words)
    {
        for (var i = 0; i < WordCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(state[(WordsAt + (i * sizeof(ulong)))..], (uint)words[i]);
        }

        BinaryPrimitives.WriteInt32LittleEndian(state[LeftAt..], WordCount + 1 - words[WordCount]);
        BinaryPrimitives.WriteUInt64LittleEndian(state[NextAt..], (ulong)words[WordCount]);
    }
}
