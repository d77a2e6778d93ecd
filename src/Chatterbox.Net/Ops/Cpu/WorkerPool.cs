using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cpu;

/// <summary>Threads for work of microseconds: a speech token is made in hundreds of pieces of work that each wait for the one before, so
/// the threads wait in a loop for the next and sleep only when none comes.</summary>
/// <remarks>Each thread takes the chunks of its own share first, then those that are left of the others'. A thread that the system has
/// suspended is not waited for unless it has a chunk in hand. One caller at a time has the threads; another computes alone meanwhile.</remarks>
internal sealed class WorkerPool
{
    private const int SpinsBeforeSleep = 20_000;    // some 200 µs: longer than the choice of a token takes

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
    /// <param name="chunks">Number of chunks.</param>
    /// <param name="work">Does the chunk of a number; throws nothing.</param>
    public void Run(int chunks, Action<int> work)
    {
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
            var round = _round + 1;
            (_work, _done) = (work, 0);
            for (var i = 0; i < Threads; i++)
            {
                _shares[i].End = (int)((long)chunks * (i + 1) / Threads);
                Volatile.Write(ref _shares[i].Next, Share.At(round, (int)((long)chunks * i / Threads)));
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
        for (var seen = 0; ;)
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

    // Once a chunk is taken the round cannot end before it is counted, so that what belongs to the round stays as it is.
    private void Work(int worker, int round)
    {
        var done = 0;
        for (var i = 0; i < _shares.Length; i++)
        {
            ref var share = ref _shares[(worker + i) % _shares.Length];
            while (true)
            {
                var next = Volatile.Read(ref share.Next);
                if (Share.RoundOf(next) != round || Share.ChunkOf(next) >= share.End)
                {
                    break;
                }

                if (Interlocked.CompareExchange(ref share.Next, next + 1, next) == next)
                {
                    _work!(Share.ChunkOf(next));
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
        /// <summary>The round, and the next chunk of the share in it.</summary>
        [FieldOffset(0)]
        public long Next;

        /// <summary>The chunk after the last.</summary>
        [FieldOffset(8)]
        public int End;

        public static long At(int round, int chunk) => ((long)round << 32) | (uint)chunk;

        public static int RoundOf(long next) => (int)(next >> 32);

        public static int ChunkOf(long next) => (int)next;
    }
}
