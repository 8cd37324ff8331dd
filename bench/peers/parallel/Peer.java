import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A job in, one POST, a result out, on Confluent's Parallel Consumer: unordered, one thread for each call.
 *
 * Arguments: bootstrap, source topic, sink topic, URL, calls at once, and how to commit: "plain" (offsets and the map of
 * what is finished above them, each second; at least once) or "transactions" (results with them; exactly once).
 */
public final class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final URI url;
    private final String sink;

    private Peer(URI url, String sink) {
        this.url = url;
        this.sink = sink;
    }

    private ProducerRecord<byte[], byte[]> work(ConsumerRecord<byte[], byte[]> record) {
        try {
            ObjectNode job = (ObjectNode) JSON.readTree(record.value());
            ObjectNode body = JSON.createObjectNode();
            body.set("model", job.get("model"));
            body.setAll((ObjectNode) job.get("input"));
            HttpRequest request = HttpRequest.newBuilder(url).timeout(PATIENCE)
                    .header("content-type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofByteArray(JSON.writeValueAsBytes(body))).build();
            HttpResponse<byte[]> answer = http.send(request, HttpResponse.BodyHandlers.ofByteArray());
            ObjectNode result = JSON.createObjectNode();
            result.set("job_id", job.get("id"));
            result.put("status", "succeeded");
            result.set("output", JSON.readTree(answer.body()));
            return new ProducerRecord<>(sink, record.key(), JSON.writeValueAsBytes(result));
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    public static void main(String[] told) {
        String bootstrap = told[0], source = told[1], sink = told[2];
        boolean transactions = told[5].equals("transactions");
        Properties in = new Properties();
        in.put("bootstrap.servers", bootstrap);
        in.put("group.id", "parallel-" + source);
        in.put("enable.auto.commit", "false");
        in.put("auto.offset.reset", "earliest");
        in.put("isolation.level", "read_committed");
        in.put("session.timeout.ms", "10000"); // as the others have it; Kafka's own 45 s only make the restart longer
        Properties out = new Properties();
        out.put("bootstrap.servers", bootstrap);
        out.put("linger.ms", "5");
        if (transactions) {
            out.put("transactional.id", "parallel-" + source);
        }
        var options = ParallelConsumerOptions.<byte[], byte[]>builder()
                .ordering(ProcessingOrder.UNORDERED)
                .maxConcurrency(Integer.parseInt(told[4]))
                .commitMode(transactions ? CommitMode.PERIODIC_TRANSACTIONAL_PRODUCER
                        : CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
                .allowEagerProcessingDuringTransactionCommit(transactions) // else commits wait for the slowest call
                .commitInterval(transactions ? Duration.ofMillis(200) : Duration.ofSeconds(1))
                .consumer(new KafkaConsumer<>(in, new ByteArrayDeserializer(), new ByteArrayDeserializer()))
                .producer(new KafkaProducer<>(out, new ByteArraySerializer(), new ByteArraySerializer()))
                .build();
        Peer peer = new Peer(URI.create(told[3]), sink);
        ParallelStreamProcessor<byte[], byte[]> processor = ParallelStreamProcessor.createEosStreamProcessor(options);
        processor.subscribe(List.of(source));
        processor.pollAndProduce(context -> peer.work(context.getSingleConsumerRecord()));
    }
}
