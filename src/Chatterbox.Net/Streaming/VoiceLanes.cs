using System.Collections.Concurrent;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;

namespace Chatterbox.Streaming;

/// <summary>Threads that voice chunks at the same time on one GPU, each with a stream of its own: the stages of one chunk are many small
/// kernels, which leave most of the GPU to others, and take the host as long to launch.</summary>
/// <remarks>All of an utterance's work is on one lane, so that its tensors are written, read and freed in the order of one stream. The
/// first lane is the caller's thread and torch's usual stream: an utterance alone runs as if there were no others.</remarks>
internal sealed class VoiceLanes : IDisposable
{
    private readonly int _device;
    private readonly S3GenModel _s3gen;
    private readonly Lane[] _others;
    private readonly int[] _utterances; // open on each lane

    /// <param name="device">Where sound is made.</param>
    /// <param name="s3gen">Makes mel there, and keeps something for each lane's stream.</param>
    /// <param name="count">Lanes; 1 on a CPU, which one chunk keeps busy.</param>
    public VoiceLanes(Device device, S3GenModel s3gen, int count)
    {
        (_device, _s3gen) = (device.index, s3gen);
        _utterances = new int[count];
        _others = [.. Enumerable.Range(1, count - 1).Select(number => new Lane(device.index, number))];
    }

    /// <summary>Takes the lane with the fewest utterances for another.</summary>
    /// <returns>Its number.</returns>
    public int Join()
    {
        lock (_utterances)
        {
            var lane = Array.IndexOf(_utterances, _utterances.Min());
            _utterances[lane]++;
            return lane;
        }
    }

    /// <summary>Counts an utterance less.</summary>
    public void Leave(int lane)
    {
        lock (_utterances)
        {
            _utterances[lane]--;
        }
    }

    /// <summary>Sends this thread's operations of torch to a lane's stream until the result is disposed.</summary>
    public CudaStream.TorchStreamScope? Enter(int lane) => lane == 0 ? null : _others[lane - 1].Stream.ForTorch(_device);

    /// <summary>Does work on its lanes, and returns when all of it is launched or done. What torch's usual stream has so far comes before
    /// it, and what is put there later comes after it.</summary>
    /// <param name="items">The work; that of a lane in order.</param>
    /// <param name="laneOf">The lane of each.</param>
    /// <param name="work">Does it, in inference mode, and leaves no tensor to the current dispose scope.</param>
    /// <remarks>Where work fails, or a lane's stream, the first error is thrown once all lanes have ended.</remarks>
    public void Run<T>(IEnumerable<T> items, Func<T, int> laneOf, Action<T> work)
    {
        var byLane = items.GroupBy(laneOf).ToList();
        var others = byLane.Where(group => group.Key > 0).Select(group => _others[group.Key - 1].Post(() => DoAll(group))).ToArray();
        try
        {
            if (byLane.Find(group => group.Key == 0) is { } own)
            {
                using CudaContext? context = _others.Length > 0 ? CudaContext.Use(_device) : null;
                DoAll(own);
            }
        }
        finally
        {
            Task.WhenAll(others).GetAwaiter().GetResult();
        }

        void DoAll(IEnumerable<T> group)
        {
            foreach (var item in group)
            {
                work(item);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_others, lane => lane.Dispose(_s3gen));

    private sealed class Lane
    {
        private readonly BlockingCollection<Task> _posted = [];
        private readonly int _device;
        private readonly Thread _thread;

        public Lane(int device, int number)
        {
            _device = device;
            using (CudaContext.Use(device))
            {
                Stream = new();
            }

            _thread = new Thread(Work) { IsBackground = true, Name = $"voice lane {number + 1}" };
            _thread.Start();
        }

        public CudaStream Stream { get; }

        /// <summary>Has work done on this lane.</summary>
        /// <returns>Ends with it, or with its error.</returns>
        public Task Post(Action work)
        {
            var task = new Task(() =>
            {
                Stream.WaitFor(CudaStream.Default);
                using (NewDisposeScope())
                {
                    work();
                }

                CudaStream.Default.WaitFor(Stream);
            });
            _posted.Add(task);
            return task;
        }

        public void Dispose(S3GenModel s3gen)
        {
            _posted.CompleteAdding();
            _thread.Join();
            _posted.Dispose();
            using var context = CudaContext.Use(_device);
            _ = CudaDriver.StreamSynchronize(Stream.Handle);
            s3gen.Forget(Stream);
            GraphMemory.Forget(_device, Stream);
            Stream.Dispose();
        }

        private void Work()
        {
            using var mode = inference_mode();
            using var context = CudaContext.Use(_device);
            using var torch = Stream.ForTorch(_device);
            foreach (var task in _posted.GetConsumingEnumerable())
            {
                task.RunSynchronously(); // on this thread; the task keeps an error
            }
        }
    }
}
