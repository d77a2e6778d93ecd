namespace Chatterbox.Service.Models;

/// <summary>Shows the progress of a model's download: on a terminal in one line that is rewritten, otherwise as a line of the log
/// for each tenth.</summary>
/// <param name="model">The model's name.</param>
/// <param name="logger">The log.</param>
internal sealed class ProgressLine(string model, ILogger logger) : IProgress<double>
{
    private readonly bool _isTerminal = !Console.IsErrorRedirected;
    private int _shown = -1; // percent

    /// <inheritdoc/>
    public void Report(double value)
    {
        var percent = (int)(100 * value);
        if (percent == _shown)
        {
            return;
        }

        if (_isTerminal)
        {
            Console.Error.Write($"\rPreparing model {model}: {percent} %{(percent == 100 ? Environment.NewLine : "")}");
        }
        else if (percent / 10 > _shown / 10)
        {
            logger.LogInformation("Preparing model {Model}: {Percent} %", model, percent / 10 * 10);
        }

        _shown = percent;
    }
}
