using Chatterbox.Ops.Cpu;

namespace Chatterbox.Tests.Ops;

public class WorkerPoolTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    [Theory]
    [InlineData(1, 2000)]
    [InlineData(2, 2000)]
    [InlineData(5, 2000)]
    [InlineData(24, 20_000)] // more than most machines have processors: threads are suspended anywhere
    public async Task Each_chunk_of_each_round_is_done_once(int threads, int rounds) =>
        await Task.Run(() =>
            {
                var pool = new WorkerPool(threads);
                for (var round = 0; round < rounds; round++)
                {
                    var done = new int[(round * 7) % 41];
                    pool.Run(
                        done.Length,
                        chunk =>
                        {
                            Thread.SpinWait(chunk * 37 % 50);
                            Interlocked.Increment(ref done[chunk]);
                        }
                    );
                    Assert.All(done, times => Assert.Equal(1, times));
                    if (round % 500 == 0)
                    {
                        Thread.Sleep(5); // long enough for the threads to fall asleep
                    }
                }
            })
            .WaitAsync(Patience, TestContext.Current.CancellationToken);

    [Fact]
    public async Task Callers_on_several_threads_all_get_their_work_done()
    {
        var pool = new WorkerPool(3);
        await Task.WhenAll(
                Enumerable
                    .Range(0, 4)
                    .Select(_ =>
                        Task.Run(() =>
                        {
                            for (var round = 0; round < 300; round++)
                            {
                                var done = new int[17];
                                pool.Run(done.Length, chunk => Interlocked.Increment(ref done[chunk]));
                                Assert.All(done, times => Assert.Equal(1, times));
                            }
                        })
                    )
            )
            .WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Work_within_work_is_done()
    {
        var pool = new WorkerPool(2);
        var done = 0;
        await Task.Run(() => pool.Run(4, _ => pool.Run(3, _ => Interlocked.Increment(ref done))))
            .WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.Equal(12, done);
    }
}
