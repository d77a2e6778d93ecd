using Chatterbox.Engine;
using CsCheck;

namespace Chatterbox.Tests.Engine;

public class RequestQueueTests
{
    [Fact]
    public void Clients_take_turns_and_a_clients_requests_follow_each_other()
    {
        var queue = new RequestQueue<string>();
        queue.Add("a", "a1");
        queue.Add("a", "a2");
        queue.Add("b", "b1");

        Assert.Equal("a1", queue.Take(_ => 0));
        queue.PutBack("a", "a1");
        Assert.Equal("b1", queue.Take(_ => 0));
        Assert.Equal("a1", queue.Take(_ => 0));
        Assert.Equal("a2", queue.Take(_ => 0));
        Assert.Null(queue.Take(_ => 0));
    }

    [Fact]
    public void A_client_need_not_wait_for_a_request_of_its_own_that_stands_further_down_the_line()
    {
        var queue = new RequestQueue<string>();
        queue.Add("a", "later");
        queue.Add("a", "never");
        queue.Add("a", "now");
        queue.Add("b", "b1");
        double? Rank(string request) => request == "later" ? 1 : request == "never" ? null : 0;

        Assert.Equal("now", queue.Take(Rank));
        Assert.Equal("b1", queue.Take(Rank));
        Assert.Equal("later", queue.Take(Rank));
        Assert.Null(queue.Take(Rank));
        Assert.Equal(1, queue.Count);
        Assert.Equal("never", queue.Take(_ => 0));
    }

    [Fact]
    public void Every_request_is_served_to_its_end_and_none_waits_more_than_a_round() => Gen.Int[0, 4].Select(Gen.Int[1, 6]).List[1, 30].Sample(requests =>
    {
        var queue = new RequestQueue<Request>();
        var all = requests.Select((r, i) => new Request($"client {r.Item1}", i, r.Item2)).ToList();
        all.ForEach(r => queue.Add(r.Client, r));

        var turns = new List<Request>();
        while (queue.Take(_ => 0) is { } request)
        {
            turns.Add(request);
            if (--request.Left > 0)
            {
                queue.PutBack(request.Client, request);
            }
        }

        Assert.Equal(0, queue.Count);
        Assert.All(all, r => Assert.Equal(0, r.Left));
        foreach (var client in all.GroupBy(r => r.Client))
        {
            // In the order they came, and between two turns of a client each other client has one turn at most.
            Assert.Equal(client.Select(r => r.Number), turns.Where(r => r.Client == client.Key).Select(r => r.Number).Distinct());
            var at = turns.Select((r, i) => (r, i)).Where(t => t.r.Client == client.Key).Select(t => t.i).ToList();
            foreach (var (from, to) in at.Zip(at.Skip(1)))
            {
                var between = turns[(from + 1)..to].Select(r => r.Client).ToList();
                Assert.Equal(between.Distinct().Count(), between.Count);
            }
        }
    });

    [Fact]
    public void Removed_requests_are_gone_and_counted()
    {
        var queue = new RequestQueue<string>();
        queue.Add("a", "a1");
        queue.Add("a", "a2");
        queue.Add("b", "b1");
        Assert.Equal(["a1", "b1"], queue.RemoveWhere(r => r.EndsWith('1')).Order());
        Assert.Equal(1, queue.Count);
        Assert.Equal("a2", queue.Take(_ => 0));
        Assert.Null(queue.Take(_ => 0));
    }

    private sealed class Request(string client, int number, int pieces)
    {
        public string Client { get; } = client;

        public int Number { get; } = number;

        public int Left { get; set; } = pieces;
    }
}
