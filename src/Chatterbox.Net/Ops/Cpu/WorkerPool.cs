using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cpu;

/// <summary>Threads for work of microseconds: a speech token is made in hundreds of pieces of work that each wait for the one before, so
/// the threads wait in a loop for the next and sleep only when none comes.</summary>
/// <remarks>Each thread takes the chunks of its own share first, then those that are left of the others'. A thread that the system has
/// suspended is not waited for unless it has a chunk in hand. One caller at a time has the threads; another computes alone
/// meanwhile.</remarks>
internal sealed class WorkerPool
{
    /// <summary>Most chunks of some work.</summary>
    public const int MostChunks = (1 << ChunkBits) - 1;

    private const int ChunkBits = 20,
        RoundMask = (1 << (64 - (2 * ChunkBits))) - 1;
    private const int SpinsBeforeSleep = 20_000; // some 200 µs: longer than the choice of a token takes

    private readonly Share[] _shares;
    private readonly SemaphoreSlim _wake = new(0);
    private Action<int>? _work;
    private int _round;
    private int _done;
    private int _asleep;
    private int _isBusy;

    /// <param name="threads">Threads that work, the caller's among them.</param>
    public WorkerPool(int threads)
    {
        _shares = new Share[Math.Max(1, threads)];
        for (var worker = 1; worker < threads; worker++)
        {
            var own = worker;
            new Thread(() => Serve(own)) { IsBackground = true, Name = $"Chatterbox worker {worker}" }.Start();
        }
    }

    /// <summary>The process's threads, as many as torch computes with.</summary>
    public static WorkerPool Shared { get; } = new(get_num_threads());

    /// <summary>Threads that work, the caller's among them.</summary>
    public int Threads => _shares.Length;

    /// <summary>Does some work in chunks, on all threads, and returns when it is done.</summary>
    /// <param name="chunks">Number of chunks, at most <see cref="MostChunks"/>.</param>
    /// <param name="work">Does the chunk of a number; throws nothing.</param>
    public void Run(int chunks, Action<int> work)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunks, MostChunks);
        if (Threads == 1 || chunks <= 1 || Interlocked.CompareExchange(ref _isBusy, 1, 0) != 0)
        {
            for (var chunk = 0; chunk < chunks; chunk++)
            {
                work(chunk);
            }

            return;
        }

        try
        {
            var round = (_round + 1) & RoundMask;
            (_work, _done) = (work, 0);
            for (var i = 0; i < Threads; i++)
            {
                Volatile.Write(
                    ref _shares[i].Left,
                    new Chunks(round, (int)((long)chunks * i / Threads), (int)((long)chunks * (i + 1) / Threads)).Bits
                );
            }

            Interlocked.Exchange(ref _round, round);
            if (Volatile.Read(ref _asleep) is var asleep and > 0)
            {
                _wake.Release(asleep);
            }

            Work(0, round);
            var wait = default(SpinWait);
            while (Volatile.Read(ref _done) < chunks)
            {
                wait.SpinOnce(sleep1Threshold: -1);
            }
        }
        finally
        {
            Volatile.Write(ref _isBusy, 0);
        }
    }

    private void Serve(int worker)
    {
        for (var seen = 0; ; )
        {
            for (var spins = 0; Volatile.Read(ref _round) == seen; spins++)
            {
                if (spins < SpinsBeforeSleep)
                {
                    Thread.SpinWait(1);
                    continue;
                }

                Interlocked.Increment(ref _asleep);
                if (Volatile.Read(ref _round) == seen)
                {
                    _wake.Wait();
                }

                Interlocked.Decrement(ref _asleep);
                spins = 0;
            }

            seen = Volatile.Read(ref _round);
            Work(worker, seen);
        }
    }

    // Once a chunk is taken the round cannot end before it is counted, so that what belongs to the round stays as it is. A late
    // thread compares a word that has changed since it was read, and takes nothing.
    private void Work(int worker, int round)
    {
        var done = 0;
        for (var i = 0; i < _shares.Length; i++)
        {
            ref var share = ref _shares[(worker + i) % _shares.Length];
            while (true)
            {
                var left = new Chunks(Volatile.Read(ref share.Left));
                if (left.Round != round || left.Next >= left.End)
                {
                    break;
                }

                if (Interlocked.CompareExchange(ref share.Left, new Chunks(round, left.Next + 1, left.End).Bits, left.Bits) == left.Bits)
                {
                    _work!(left.Next);
                    done++;
                }
            }
        }

        if (done > 0)
        {
            Interlocked.Add(ref _done, done);
        }
    }

    /// <summary>The chunks that are first of all one thread's; alone in its cache lines.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Share
    {
        /// <summary>Those that are not taken yet, as <see cref="Chunks.Bits"/>.</summary>
        [FieldOffset(0)]
        public long Left;
    }

    /// <summary>Chunks of a round from one up to, and without, another: all in one word, which is read and replaced as a whole.</summary>
    private readonly record struct Chunks(long Bits)
    {
        public Chunks(int round, int next, int end)
            : this(((long)round << (2 * ChunkBits)) | ((long)next << ChunkBits) | (uint)end) { }

        public int Round => (int)(Bits >> (2 * ChunkBits)) & RoundMask;

        public int Next => (int)(Bits >> ChunkBits) & MostChunks;

        public int End => (int)Bits & MostChunks;
    }
}
